"""From tables over several values to step functions and bits."""
