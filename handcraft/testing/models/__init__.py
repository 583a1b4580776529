"""Models under test: what a model must be able to do to be tested, and an adapter for each kind."""
