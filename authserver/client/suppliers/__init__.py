"""Everything that can vouch for a program, one file each. They do not know each other."""
