"""The true circuit: which edges between nodes an answer depends on."""
