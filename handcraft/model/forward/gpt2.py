"""The steps of GPT-2, and of the bare block, which is a GPT-2 without LayerNorm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from handcraft.model.forward.forward_pass import ForwardPass
from handcraft.model.layers.attention import Array, split_heads
from handcraft.model.layers.linear import Block, Linear
from handcraft.model.layers.norm import layer_norm


class Gpt2Pass(ForwardPass):
    """A forward pass of GPT-2 (Radford et al. 2019)."""

    def embed(self, ids: npt.NDArray[np.int64]) -> Array:
        """Token embedding plus position embedding."""
        wte, wpe = self.tensors["wte.weight"], self.tensors["wpe.weight"]
        x: Array = self.after_step(wte[ids] + wpe[self.start : self.start + self.count])
        return x

    def normed(self, name: str, x: Array) -> Array:
        """LayerNorm where the architecture has one."""
        if not self.architecture.has_norm:
            return x
        gain, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        normed = self.after_step(layer_norm(x, gain, bias, self.architecture.norm_epsilon))
        self.show(name, normed)
        return normed

    def heads(self, block: Block, x: Array) -> tuple[Array, Array, Array]:
        """A third of the columns of c_attn each."""
        qkv = self.after_step(block.c_attn(x))  # [batch, position, 3 n_embd]
        q, k, v = (split_heads(part, self.shape.n_head) for part in np.split(qkv, 3, axis=-1))
        return q, k, v

    def hidden(self, name: str, block: Block, x: Array) -> Array:
        """The activation of each sum."""
        assert block.c_fc is not None
        before = self.after_step(block.c_fc(x))  # [batch, position, n_inner]
        self.show(f"{name}.pre_activation", before)
        return self.after_step(self.activated(before))

    def head(self) -> Array:
        """The token embedding, or a head of its own."""
        return self.tensors["wte.weight" if self.architecture.tied else "lm_head.weight"]


def gpt2_blocks(tensors: Mapping[str, Array], inner: tuple[int, ...]) -> tuple[Block, ...]:
    """The blocks with every matrix as it is stored."""

    def linear(name: str) -> Linear:
        return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    return tuple(
        Block(
            linear(f"h.{layer}.attn.c_attn"),
            linear(f"h.{layer}.attn.c_proj"),
            linear(f"h.{layer}.mlp.c_fc") if units else None,
            linear(f"h.{layer}.mlp.c_proj") if units else None,
        )
        for layer, units in enumerate(inner)
    )
