"""GPT-2 in NumPy: forward, KV cache, generation, traces."""

from handcraft.model.activation import gelu_erf, gelu_tanh, relu
from handcraft.model.attention import (
    attend,
    causal_mask,
    masked_softmax,
    merge_heads,
    softmax,
    split_heads,
)
from handcraft.model.cache import Cache
from handcraft.model.generate import ADDED, check_masked, continue_ids, generate
from handcraft.model.grow import grow, published_shape
from handcraft.model.model import Model
from handcraft.model.norm import layer_norm
from handcraft.model.position_tables import (
    heatmap_svg,
    one_hot_table,
    signed_bit_table,
    sinusoid_shift,
    sinusoid_table,
)
from handcraft.model.rounded import RoundedModel, as_rounded
from handcraft.model.self_attention import (
    attend_split,
    attend_stacked,
    position_ids,
    self_attend,
    valid_positions,
)
from handcraft.model.shape import Shape
from handcraft.model.trace import Trace, TraceNames

__all__ = [
    "ADDED",
    "Cache",
    "Model",
    "RoundedModel",
    "Shape",
    "Trace",
    "TraceNames",
    "as_rounded",
    "attend",
    "attend_split",
    "attend_stacked",
    "causal_mask",
    "check_masked",
    "continue_ids",
    "gelu_erf",
    "gelu_tanh",
    "generate",
    "grow",
    "heatmap_svg",
    "layer_norm",
    "masked_softmax",
    "merge_heads",
    "one_hot_table",
    "position_ids",
    "published_shape",
    "relu",
    "self_attend",
    "signed_bit_table",
    "sinusoid_shift",
    "sinusoid_table",
    "softmax",
    "split_heads",
    "valid_positions",
]
