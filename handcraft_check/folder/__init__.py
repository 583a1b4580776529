"""The files of a model, read without running anything."""
