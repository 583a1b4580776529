"""What is known of numbers: regimes, rounding, errors and what they have in common."""
