"""Selections as attention scores."""
