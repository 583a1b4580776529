"""Compiled models in PyTorch: the compiled part frozen, the rest trainable.

Needs the extra `torch` (PyTorch and transformers).
"""

from handcraft.torch.load_partial import Partial, load

__all__ = ["Partial", "load"]
