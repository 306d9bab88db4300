"""A page in a real browser that enrols as a device."""
