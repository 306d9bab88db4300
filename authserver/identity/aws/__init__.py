"""Requests to the Security Token Service of AWS that a caller has signed for us."""
