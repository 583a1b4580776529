"""Expressions to a model that computes them: its outputs are values, each within a proved error bound."""
