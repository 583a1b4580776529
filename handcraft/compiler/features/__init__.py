"""Nodes to circuits: the features that store values, and the heads and neurons that write them."""
