"""Circuits as graphs for Graphviz."""
