"""A forward pass in NumPy with a place for every known fault, and the faults."""
