"""Heads of a later block that match by content, such as those of induction."""
