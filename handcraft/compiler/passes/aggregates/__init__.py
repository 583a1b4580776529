"""From selections and aggregates to the outputs of heads."""
