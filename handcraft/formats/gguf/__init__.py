"""A model as a GGUF file."""
