"""Hugging Face repositories: written by hand, and read as transformers reads them."""
