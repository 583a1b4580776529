"""What the blocks of a model compute: products, attention, norms, rotations."""
