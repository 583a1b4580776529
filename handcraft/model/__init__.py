"""GPT-2 in NumPy: forward, KV cache, generation, traces."""

from handcraft.model.attention import attend, causal_mask, merge_heads, softmax, split_heads
from handcraft.model.cache import Cache
from handcraft.model.generate import complete, generate
from handcraft.model.model import Model
from handcraft.model.shape import Shape
from handcraft.model.trace import Trace

__all__ = [
    "Cache",
    "Model",
    "Shape",
    "Trace",
    "attend",
    "causal_mask",
    "complete",
    "generate",
    "merge_heads",
    "softmax",
    "split_heads",
]
