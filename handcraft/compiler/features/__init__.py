"""Nodes to circuits: the features that hold their values, and the heads and neurons that write them."""
