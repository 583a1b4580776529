"""The weights divided by the rules and values that they serve."""
