"""handcraft.json as data: what a folder says of its model. Nothing that is read is run."""
