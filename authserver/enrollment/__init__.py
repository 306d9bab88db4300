"""How does a device become known? Invitations, enrolment, and what a device source says of both."""
