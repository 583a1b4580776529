"""One forward pass: what GPT-2 and Llama have in common, and what each must say of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft.architecture import Architecture
from handcraft.model.forward.cache import Cache
from handcraft.model.layers.attention import (
    AfterStep,
    Array,
    Flags,
    Watch,
    attend,
    attend_causally,
    merge_heads,
)
from handcraft.model.layers.linear import Block
from handcraft.model.layers.product import product
from handcraft.model.tensors.shape import Shape


@dataclass(frozen=True, eq=False)
class ForwardPass(ABC):
    """The steps from token ids to logits, for one batch of texts.

    Args:
        architecture: what is computed.
        shape: the sizes.
        tensors: the parameters, in the dtype in which they run.
        after_step: maps the result of one step to the input of the next, for example rounded.
        activated: what hidden units make of their sums.
        count: how many positions it runs.
        cache: keys and values of earlier positions; None for whole texts.
        watch: called with every intermediate; None if nothing is watched.
        valid: which positions are tokens, [batch, position]; None if all are.
    """

    architecture: Architecture
    shape: Shape
    tensors: Mapping[str, Array]
    after_step: AfterStep
    activated: Callable[[Array], Array]
    count: int
    cache: Cache | None = None
    watch: Watch | None = None
    valid: Flags | None = None

    @property
    def start(self) -> int:
        """The first position of this pass."""
        return 0 if self.cache is None else self.cache.filled

    @abstractmethod
    def embed(self, ids: npt.NDArray[np.int64]) -> Array:
        """The residual stream at the start: [batch, position] -> [batch, position, n_embd]."""

    @abstractmethod
    def normed(self, name: str, x: Array) -> Array:
        """What a norm makes of the stream, by the name that it has in a `Trace`."""

    @abstractmethod
    def heads(self, block: Block, x: Array) -> tuple[Array, Array, Array]:
        """Queries, keys and values of new positions.

        Args:
            block: the matrices of the block.
            x: what its heads read, [batch, position, n_embd].

        Returns:
            Queries, [batch, n_head, position, head_dim]; keys and values, [batch, kv_heads, position,
            head_dim].
        """

    @abstractmethod
    def hidden(self, name: str, block: Block, x: Array) -> Array:
        """The hidden units of an MLP: [batch, position, n_embd] -> [batch, position, n_inner]."""

    @abstractmethod
    def head(self) -> Array:
        """The unembedding, [n_vocab, n_embd]."""

    def logits(self, x: Array, blocks: tuple[Block, ...], done: int = 0) -> Array:
        """The logits, once so many halves of blocks have run: attention and MLP by turns.

        Args:
            x: the residual stream after them, [batch, position, n_embd].
            blocks: the matrices of every block.
            done: how many halves.

        Returns:
            [batch, position, n_vocab].
        """
        for layer, block in enumerate(blocks):
            if 2 * layer >= done:
                x = self.after_step(x + self.attention(layer, block, x))
                self.show(f"h.{layer}.after_attention", x)
            if 2 * layer + 1 < done:
                continue
            if block.mlp is not None:
                x = self.after_step(x + self.mlp(layer, block, x))
            self.show(f"h.{layer}.output", x)
        if self.cache is not None:
            self.cache.advance(x.shape[1])
        x = self.normed("ln_f", x)
        logits = self.after_step(
            product(x, self.head().T)
        )  # [batch, position, n_embd] @ [n_embd, n_vocab]
        self.show("logits", logits)
        return logits

    def attention(self, layer: int, block: Block, x: Array) -> Array:
        """What the heads of a block add to the stream: [batch, position, n_embd]."""
        if not block.attends:
            return block.attention.bias
        name = f"h.{layer}.attn"
        q, k, v = self.heads(block, self.normed(f"h.{layer}.ln_1", x))
        if self.cache is not None:
            k, v = self.cache.put(layer, k, v)
        q, k, v = q[..., : block.score_dims], k[..., : block.score_dims], v[..., : block.value_dims]
        for part, value in (("query", q), ("key", k), ("value", v)):
            self.show(f"{name}.{part}", value)
        k, v = self._for_every_head(k), self._for_every_head(v)
        scale = self.architecture.score_scale(self.shape.head_dim, layer)
        causal, window = self.architecture.causal, self.architecture.window
        if self.watch is None and self.valid is None and causal:
            context = attend_causally(q, k, v, scale=scale, window=window, after_step=self.after_step)
            return self.after_step(block.attention(merge_heads(context)))
        seen = None if self.valid is None else self.valid[:, None]  # [batch, 1, source], for every head
        scores, pattern, out = attend(
            q,
            k,
            v,
            scale=scale,
            causal=causal,
            window=window,
            valid=seen,
            after_step=self.after_step,
        )
        self.show(f"{name}.scores", scores)
        self.show(f"{name}.pattern", pattern)
        self.show(f"{name}.head_output", out)
        written = self.after_step(block.attention(merge_heads(out)))
        self.show(f"{name}.output", written)
        return written

    def _for_every_head(self, x: Array) -> Array:
        """Keys or values, once for each query that reads them (Ainslie et al. 2023, section 2.2).

        [batch, kv_heads, position, head_dim] -> [batch, n_head, position, head_dim].
        """
        group = self.shape.n_head // self.shape.kv_heads
        return x if group == 1 else x.repeat(group, axis=1)

    def mlp(self, layer: int, block: Block, x: Array) -> Array:
        """What the hidden units of a block add to the stream: [batch, position, n_embd]."""
        assert block.mlp is not None
        if not block.has_units:
            return block.mlp.bias
        name = f"h.{layer}.mlp"
        hidden = self.hidden(name, block, self.normed(f"h.{layer}.ln_2", x))
        self.show(f"{name}.hidden", hidden)
        written = self.after_step(block.mlp(hidden))
        self.show(f"{name}.output", written)
        return written

    def show(self, name: str, value: Array) -> None:
        """Call `watch` with an intermediate, if there is one."""
        if self.watch is not None:
            self.watch(name, value)
