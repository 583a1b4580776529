"""Engines that a pack can be run on, one adapter each."""
