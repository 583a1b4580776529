"""The tensors of a model as a GGUF file stores them: their names, their types, their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handcraft.dtype import FLOAT32, DType, dtype_named
from handcraft.model import Model
from handcraft.model.layers.attention import Array

NAMES = {
    "wte": "token_embd",
    "embed_tokens": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "norm": "output_norm",
    "lm_head": "output",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""What llama.cpp calls the parts of a GPT-2 and of a Llama; those of a block begin with ``blk.{i}``."""

ROTATED = ("self_attn.q_proj", "self_attn.k_proj")
"""The matrices whose rows are stored in another order: see `side_by_side`."""


@dataclass(frozen=True)
class Stored:
    """A tensor as the file stores it.

    Args:
        name: in llama.cpp.
        source: its name in the model.
        shape: as NumPy counts axes; the file lists them the other way round.
        dtype: its type; norms, biases and positions are always float32.
        is_turned: whether the model stores it transposed.
        is_rotated: whether it makes queries or keys that are rotated.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    dtype: DType
    is_turned: bool
    is_rotated: bool = False

    def read(self, model: Model) -> np.ndarray[Any, Any]:
        """Its numbers in order, bfloat16 in the guise of a type that NumPy itself has."""
        values = model.tensors[self.source].astype(self.dtype.numpy, copy=False)
        if self.is_rotated:
            values = side_by_side(values, model.shape.head_dim)
        ordered = np.ascontiguousarray(values.T if self.is_turned else values)
        return ordered if self.dtype.is_in_numpy else ordered.view(np.uint16)


def stored_tensors(model: Model) -> list[Stored]:
    """Every tensor of the file, in order; none is read yet."""
    found, own = [], dtype_named(model.dtype.name)
    for source, sizes in model.shape.tensors(model.architecture).items():
        part, _, kind = source.rpartition(".")
        prefix = ""
        if part.startswith(("h.", "layers.")):
            _, layer, part = part.split(".", 2)
            prefix = f"blk.{layer}."
        # embeddings, the head and all matrices of a Llama are rows already
        is_turned = source.startswith("h.") and len(sizes) == 2
        dtype = FLOAT32 if len(sizes) == 1 or part == "wpe" else own
        shape = sizes[::-1] if is_turned else sizes
        found.append(
            Stored(f"{prefix}{NAMES[part]}.{kind}", source, shape, dtype, is_turned, part in ROTATED)
        )
    return found


def side_by_side(weight: Array, head_dim: int) -> Array:
    """The rows of queries or keys with the two channels of every rotated pair next to each other.

    Hugging Face's checkpoints pair the channels j and j + head_dim / 2 of a head, llama.cpp 2 j and
    2 j + 1. Scores are the same, since queries and keys are reordered alike.

    >>> side_by_side(np.arange(4)[:, None], 4)[:, 0]
    array([0, 2, 1, 3])

    Args:
        weight: [heads head_dim, in].
        head_dim: the width of a head.
    """
    halves = weight.reshape(-1, 2, head_dim // 2, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(weight.shape)
