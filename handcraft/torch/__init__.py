"""Compiled models in PyTorch: the compiled part frozen, the rest trainable.

Needs the extra `torch` (PyTorch and transformers).
"""

from handcraft.torch.load_partial import Partial, load
from handcraft.torch.still_used import EdgeUse, StillUsed, still_used

__all__ = ["EdgeUse", "Partial", "StillUsed", "load", "still_used"]
