"""What may they get? Rules, and the decision that they lead to."""
