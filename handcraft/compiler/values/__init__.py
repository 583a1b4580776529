"""Expressions to a model that computes them: its outputs are values, each within an error bound."""
