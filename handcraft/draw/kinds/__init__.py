"""One file for each kind of picture."""
