"""Patterns of tokens: their text, which contexts they match, and which rule decides."""
