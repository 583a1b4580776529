"""A model as other tools run it in half precision: what each step computes is rounded to the dtype."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from handcraft.dtype import dtype_named
from handcraft.model.attention import Array
from handcraft.model.linear import Block
from handcraft.model.model import Model


class RoundedModel(Model):
    """A model of float16 or bfloat16 tensors that keeps no more digits than they do.

    A `Model` runs in float32 at least, where nothing overflows that does in float16. PyTorch on a CPU
    adds up products in float32 too, and rounds what comes out, as here.
    """

    def _after_step(self, value: Array) -> Array:
        rounded: Array = value.astype(self.dtype).astype(self.running_dtype)
        return rounded

    def _run(self, *arguments: Any, **more: Any) -> Array:
        """Infinity, and what comes of it, is what other tools have then, too."""
        with np.errstate(over="ignore", invalid="ignore"):
            return super()._run(*arguments, **more)

    @cached_property
    def _pruned_blocks(self) -> tuple[Block, ...]:
        """Whole where other tools overflow first: what is multiplied with 0 may be infinite."""
        is_whole = dtype_named(self.dtype.name).overflows_first
        return self._blocks if is_whole else super()._pruned_blocks


def as_rounded(model: Model) -> RoundedModel:
    """The same model, rounded at every step."""
    return RoundedModel(model.architecture, model.shape, model.vocabulary, model.tensors)
