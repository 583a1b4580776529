"""Check a compiled model against its certificate, from its files alone, importing nothing of it."""
