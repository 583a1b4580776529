"""The graph behind expressions: nodes with the values that they can have, and how nodes are made."""
