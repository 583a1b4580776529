"""The ways to disguise a model, one a file."""
