"""Passes over graphs of nodes: each keeps every value, and brings it nearer to heads and neurons."""
