"""GPT-2 in NumPy: forward, KV cache, generation, traces."""

from handcraft.model.activation import gelu_erf, gelu_tanh, relu
from handcraft.model.attention import attend, causal_mask, merge_heads, softmax, split_heads
from handcraft.model.cache import Cache
from handcraft.model.generate import complete, generate
from handcraft.model.grow import grow, published_shape
from handcraft.model.model import Model
from handcraft.model.norm import layer_norm
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
    "gelu_erf",
    "gelu_tanh",
    "generate",
    "grow",
    "layer_norm",
    "merge_heads",
    "published_shape",
    "relu",
    "softmax",
    "split_heads",
]
