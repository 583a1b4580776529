"""Graphs as text: the program after any pass, written so that it can be read back."""
