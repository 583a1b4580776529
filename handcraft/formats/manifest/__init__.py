"""handcraft.json as data: the description of the model in a folder. Nothing in it is executed."""
