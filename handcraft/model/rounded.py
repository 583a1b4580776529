"""A model as other tools run it in half precision: what each step computes is rounded to the dtype."""

from __future__ import annotations

from functools import cached_property
from math import pi, sqrt
from typing import Any

import numpy as np

from handcraft.dtype import dtype_named
from handcraft.model.layers.attention import Array
from handcraft.model.layers.linear import Block
from handcraft.model.model import Model


class RoundedModel(Model):
    """A model of float16 or bfloat16 tensors that keeps no more digits than they do.

    A `Model` runs in float32 at least, where nothing overflows that does in float16. PyTorch on a CPU
    adds up products in float32 too, and rounds what comes out, as here. GELU by tanh is several steps,
    as transformers computes `gelu_new`.
    """

    def _after_step(self, value: Array) -> Array:
        rounded: Array = value.astype(self.dtype).astype(self.running_dtype)
        return rounded

    def _activated(self, before: Array) -> Array:
        if self.architecture.activation != "gelu_tanh":
            return super()._activated(before)
        number, kept = before.dtype.type, self._after_step
        cubes = kept(number(0.044715) * kept(before * before * before))
        inner = kept(number(sqrt(2 / pi)) * kept(before + cubes))
        return kept(number(0.5) * before) * kept(1 + kept(np.tanh(inner)))

    def _run(self, *arguments: Any, **more: Any) -> Array:
        """Infinity, and what comes of it, is what other tools have then, too."""
        with np.errstate(over="ignore", invalid="ignore"):
            return super()._run(*arguments, **more)

    @cached_property
    def _pruned_blocks(self) -> tuple[Block, ...]:
        """Whole where other tools overflow first: what is multiplied with 0 may be infinite."""
        is_whole = dtype_named(self.dtype.name).overflows_first
        return self._blocks if is_whole else super()._pruned_blocks


NUDGE = 2.0**-17
"""The relative difference that sums may have in float32: 2**-24 for each of about a hundred terms."""


class ReorderedModel(RoundedModel):
    """A rounded model whose sums are computed in another order, with GELU in one step.

    The order of summation changes a float32 number by rounding, and a number about half-way between two
    numbers of the dtype may then be rounded to the other one. Such numbers are moved up or down before
    they are rounded, equal ones alike. An answer that changes is right on some machines only.
    """

    def _after_step(self, value: Array) -> Array:
        mixed = value.astype(np.float32).view(np.uint32) * np.uint32(2654435761)  # a hash
        nudged = value * np.where(mixed >> 31, 1 + NUDGE, 1 - NUDGE).astype(value.dtype)
        return super()._after_step(nudged)

    def _activated(self, before: Array) -> Array:
        return Model._activated(self, before)


def as_reordered(model: Model) -> ReorderedModel:
    """The same model with dimensions, heads and hidden units in reverse, rounded at every step."""
    width = model.shape.head_dim
    tensors = {name: _reversed(name, tensor, width) for name, tensor in model.tensors.items()}
    return ReorderedModel(model.architecture, model.shape, model.vocabulary, tensors)


EMBEDDINGS = ("wte.weight", "wpe.weight", "embed_tokens.weight", "lm_head.weight")


def _reversed(name: str, tensor: Array, width: int) -> Array:
    if name in EMBEDDINGS:  # tokens and positions stay in order
        return tensor[:, ::-1]
    if ".c_attn." in name:  # queries, keys and values stay side by side
        parts = np.split(tensor, 3, axis=-1)
        return np.concatenate([np.flip(part) for part in parts], axis=-1)
    if name.endswith(("q_proj.weight", "k_proj.weight")):  # rotated channels stay where they are
        heads = tensor.reshape(-1, width, tensor.shape[1])
        return heads[::-1, :, ::-1].reshape(tensor.shape)
    return np.flip(tensor)


def as_rounded(model: Model) -> RoundedModel:
    """The same model, rounded at every step."""
    return RoundedModel(model.architecture, model.shape, model.vocabulary, model.tensors)
