"""Anybody's model as a model under test: what it must be able to do, and an adapter for each kind."""
