"""A pack: models and cases as files, measured, written with hashes, and read back."""
