"""What must be remembered, and by whom it may be read."""
