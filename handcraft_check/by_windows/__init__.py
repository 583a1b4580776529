"""Proof for windows, at all positions at once."""
