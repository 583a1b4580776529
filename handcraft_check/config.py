"""The sizes of a GPT-2, as config.json has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handcraft_check.errors import CheckError

KEYS = {
    "activation_function",
    "add_cross_attention",
    "architectures",
    "attn_pdrop",
    "bos_token_id",
    "dtype",
    "embd_pdrop",
    "eos_token_id",
    "initializer_range",
    "layer_norm_epsilon",
    "model_type",
    "n_ctx",
    "n_embd",
    "n_head",
    "n_inner",
    "n_layer",
    "n_positions",
    "pad_token_id",
    "reorder_and_upcast_attn",
    "resid_pdrop",
    "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "vocab_size",
}
"""The keys of config.json that are read, or change no logit. transformers knows others that would, such
as a second name for n_layer."""


@dataclass(frozen=True)
class Config:
    """What config.json says of the sizes and the arithmetic."""

    n_layer: int
    n_head: int
    n_embd: int
    n_inner: int
    n_positions: int
    vocab_size: int
    epsilon: float
    scales_scores: bool
    scales_by_layer: bool

    @classmethod
    def read(cls, data: Any, where: str) -> Config:
        """The sizes of a config of Hugging Face's GPT2LMHeadModel.

        Raises:
            CheckError: a key is missing or has no sense, or the model computes what is not GPT-2.
        """
        if not isinstance(data, dict):
            raise CheckError("it is not an object", where=where)

        def whole(key: str, default: int | None = None) -> int:
            value = data.get(key, default)
            value = default if value is None else value
            if type(value) is not int or not 0 < value <= 1 << 24:
                raise CheckError(f"{key} is {value!r}, not a whole number above 0", where=where)
            return value

        def flag(key: str, *, default: bool) -> bool:
            value = data.get(key, default)
            if not isinstance(value, bool):
                raise CheckError(f"{key} is {value!r}, not true or false", where=where)
            return value

        unknown = sorted(data.keys() - KEYS)
        if unknown:
            raise CheckError(f"the checker does not know the key {unknown[0]!r}", where=where)
        known = {"model_type": "gpt2", "activation_function": "gelu_new"}
        for key, expected in known.items():
            if data.get(key, expected if key != "model_type" else None) != expected:
                raise CheckError(
                    f"{key} is {data.get(key)!r}; the checker knows {expected!r}", where=where
                )
        if flag("reorder_and_upcast_attn", default=False) or flag("add_cross_attention", default=False):
            raise CheckError("it attends in a way that the checker does not know", where=where)
        if not flag("tie_word_embeddings", default=True):
            raise CheckError("its unembedding is not tied", where=where)
        epsilon = data.get("layer_norm_epsilon", 1e-5)
        if not isinstance(epsilon, float) or not 1e-12 <= epsilon < 1:
            raise CheckError(f"layer_norm_epsilon is {epsilon!r}", where=where)
        width = whole("n_embd")
        found = cls(
            whole("n_layer"),
            whole("n_head"),
            width,
            whole("n_inner", 4 * width),
            whole("n_positions"),
            whole("vocab_size"),
            float(np.float32(epsilon)),
            flag("scale_attn_weights", default=True),
            flag("scale_attn_by_inverse_layer_idx", default=False),
        )
        if width % found.n_head:
            raise CheckError(f"n_embd={width} is no multiple of n_head={found.n_head}", where=where)
        return found
