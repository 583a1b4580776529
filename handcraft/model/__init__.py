"""GPT-2 and Llama in NumPy: forward, KV cache, generation, traces."""

from handcraft.model.forward.cache import Cache
from handcraft.model.forward.checked_input import checked_prompt
from handcraft.model.forward.padding import valid_positions
from handcraft.model.generate import ADDED, check_masked, continue_ids
from handcraft.model.gpt2_only import check_gpt2
from handcraft.model.grow import grow, published, published_shape
from handcraft.model.layers.attention import (
    attend,
    causal_mask,
    masked_softmax,
    merge_heads,
    softmax,
    split_heads,
)
from handcraft.model.model import Model
from handcraft.model.rounded import ReorderedModel, RoundedModel, as_reordered, as_rounded
from handcraft.model.stored import Stored
from handcraft.model.tensors.axis_names import AxisNames, BlockNames, HeadNames
from handcraft.model.tensors.parameters import PartCount, PartCounts, parameters_by_part
from handcraft.model.tensors.shape import Shape
from handcraft.model.tensors.tensor_axes import OutputMatrix, axes_of
from handcraft.model.trace import Trace

__all__ = [
    "ADDED",
    "AxisNames",
    "BlockNames",
    "Cache",
    "HeadNames",
    "Model",
    "OutputMatrix",
    "PartCount",
    "PartCounts",
    "ReorderedModel",
    "RoundedModel",
    "Shape",
    "Stored",
    "Trace",
    "as_reordered",
    "as_rounded",
    "attend",
    "axes_of",
    "causal_mask",
    "check_gpt2",
    "check_masked",
    "checked_prompt",
    "continue_ids",
    "grow",
    "masked_softmax",
    "merge_heads",
    "parameters_by_part",
    "published",
    "published_shape",
    "softmax",
    "split_heads",
    "valid_positions",
]
