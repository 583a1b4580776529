"""The texts that a model is tried on: all of them, or those that the program can tell apart."""
