"""The steps of Llama: RMSNorm, rotated queries and keys, grouped queries, SwiGLU, no biases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.model.forward.forward_pass import ForwardPass
from handcraft.model.layers.attention import Array, split_heads
from handcraft.model.layers.linear import Block, Linear
from handcraft.model.layers.norm import rms_norm
from handcraft.model.layers.rotary import rotate, rotation_table


class LlamaPass(ForwardPass):
    """A forward pass of Llama (Touvron et al. 2023), step by step as transformers computes it.

    Matrices are stored [out, in], and those of one block that read the same are run side by side: see
    `llama_blocks`.
    """

    def embed(self, ids: npt.NDArray[np.int64]) -> Array:
        """The token embedding alone: positions are in the rotation of queries and keys."""
        x: Array = self.after_step(self.tensors["embed_tokens.weight"][ids])
        return x

    def normed(self, name: str, x: Array) -> Array:
        """RMSNorm with the gain of that norm."""
        gain = self.tensors[gain_of(name)]
        normed = rms_norm(x, gain, self.architecture.norm_epsilon, after_step=self.after_step)
        self.show(name, normed)
        return normed

    def heads(self, block: Block, x: Array) -> tuple[Array, Array, Array]:
        """Rotated queries and keys, and values."""
        heads, groups, width = self.shape.n_head, self.shape.kv_heads, self.shape.head_dim
        qkv = self.after_step(block.c_attn(x))  # [batch, position, (n_head + 2 kv_heads) head_dim]
        parts = np.split(qkv, [heads * width, (heads + groups) * width], axis=-1)
        q, k, v = (split_heads(each, n) for each, n in zip(parts, (heads, groups, groups), strict=True))
        cosines, sines = self._rotation
        turned = [rotate(each, cosines, sines, after_step=self.after_step) for each in (q, k)]
        return turned[0], turned[1], v

    @cached_property
    def _rotation(self) -> tuple[Array, Array]:
        """Cosines and sines for the positions of this pass, [position, head_dim] each."""
        assert self.architecture.theta is not None
        places = np.arange(self.start, self.start + self.count)
        table = rotation_table(
            places, self.shape.head_dim, self.architecture.theta, self.tensors["norm.weight"].dtype
        )
        return self.after_step(table[0]), self.after_step(table[1])

    def hidden(self, name: str, block: Block, x: Array) -> Array:
        """SwiGLU: the activation of one sum times another (Shazeer 2020, section 2)."""
        assert block.c_fc is not None
        sums = self.after_step(block.c_fc(x))  # [batch, position, 2 n_inner]
        gate, up = np.split(sums, 2, axis=-1)
        self.show(f"{name}.pre_activation", gate)
        self.show(f"{name}.up", up)
        return self.after_step(self.after_step(self.activated(gate)) * up)

    def head(self) -> Array:
        """The token embedding, or a head of its own."""
        return self.tensors["embed_tokens.weight" if self.architecture.tied else "lm_head.weight"]


NORMS = {"ln_1": "input_layernorm", "ln_2": "post_attention_layernorm"}
"""What Llama calls the norms that a `Trace` names as GPT-2 does."""


def gain_of(name: str) -> str:
    """The tensor with the gain of a norm.

    >>> gain_of("h.3.ln_2"), gain_of("ln_f")
    ('layers.3.post_attention_layernorm.weight', 'norm.weight')
    """
    if name == "ln_f":
        return "norm.weight"
    _, layer, norm = name.split(".")
    return f"layers.{layer}.{NORMS[norm]}.weight"


def llama_blocks(tensors: Mapping[str, Array], inner: tuple[int, ...]) -> tuple[Block, ...]:
    """The blocks with every matrix whole; those that read the same stream are side by side."""

    def linear(layer: int, *names: str) -> Linear:
        stored = [tensors[f"layers.{layer}.{name}_proj.weight"] for name in names]  # [out, in] each
        weight = (stored[0] if len(stored) == 1 else np.concatenate(stored)).T
        return Linear(weight, np.zeros(weight.shape[1], dtype=weight.dtype))

    return tuple(
        Block(
            linear(layer, "self_attn.q", "self_attn.k", "self_attn.v"),
            linear(layer, "self_attn.o"),
            linear(layer, "mlp.gate", "mlp.up") if units else None,
            linear(layer, "mlp.down") if units else None,
        )
        for layer, units in enumerate(inner)
    )
