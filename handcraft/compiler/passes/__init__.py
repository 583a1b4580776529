"""Passes over graphs of nodes: each keeps all values, and makes nodes more like heads and neurons."""
