"""The tensors of a model: their shapes, and what their axes stand for."""
