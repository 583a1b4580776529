"""Proof by cases, position after position."""
