"""The texts that a model is tried on: all of them, or texts that exercise its rules."""
