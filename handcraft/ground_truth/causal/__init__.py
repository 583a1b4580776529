"""Causal variables: where each value may be exchanged, and what is answered then."""
