"""GPT-2 in NumPy: a model is its tensors, and a few functions of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.architecture import Architecture
from handcraft.display import html_table, short_repr
from handcraft.dtype import dtype_named
from handcraft.errors import ModelError
from handcraft.model.activation import ACTIVATIONS
from handcraft.model.attention import (
    Array,
    Flags,
    Watch,
    attend,
    attend_causally,
    merge_heads,
    split_heads,
)
from handcraft.model.axis_names import AxisNames
from handcraft.model.cache import Cache
from handcraft.model.checked_input import check_cache, checked_ids, checked_prompt
from handcraft.model.linear import Block, pruned_blocks, whole_blocks
from handcraft.model.norm import layer_norm
from handcraft.model.padding import checked_valid
from handcraft.model.product import product
from handcraft.model.shape import Shape
from handcraft.model.stored import Stored
from handcraft.model.trace import Trace
from handcraft.vocabulary import Vocabulary

CHUNK = 1 << 20
"""About how many numbers of the residual stream run at once: more would leave the CPU's caches."""


def _ignore(name: str, value: Array) -> None:
    """Ignore the intermediates."""


@short_repr
@dataclass(frozen=True, eq=False)
class Model:
    """A decoder-only transformer: its architecture, its sizes, its vocabulary and its tensors.

    Args:
        architecture: what it computes.
        shape: its sizes.
        vocabulary: the tokens, by id.
        tensors: the parameters, named as in GPT-2 checkpoints; matrices are stored [in, out].
    """

    architecture: Architecture
    shape: Shape
    vocabulary: Vocabulary
    tensors: Mapping[str, Array] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        """Whether both are the same model, to the last bit of every tensor."""
        if not isinstance(other, Model):
            return NotImplemented
        same_facts = (self.architecture, self.shape, self.vocabulary) == (
            other.architecture,
            other.shape,
            other.vocabulary,
        )
        return same_facts and all(
            mine.dtype == other.tensors[name].dtype and mine.tobytes() == other.tensors[name].tobytes()
            for name, mine in self.tensors.items()
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The type of every tensor."""
        return self.tensors["wpe.weight"].dtype

    @property
    def running_dtype(self) -> np.dtype[np.floating]:
        """The type in which the forward pass runs: that of the tensors, or float32 if wider."""
        return dtype_named(self.dtype.name).running.numpy

    @property
    def parameters(self) -> int:
        """The number of parameters; a tied unembedding counts once."""
        return self.shape.parameters(self.architecture)

    @property
    def nonzero_parameters(self) -> int:
        """The number of parameters that are not 0."""
        return sum(int(np.count_nonzero(tensor)) for tensor in self.tensors.values())

    def forward(
        self,
        tokens: npt.ArrayLike | Sequence[str],
        cache: Cache | None = None,
        *,
        valid: npt.ArrayLike | None = None,
    ) -> Array:
        """The logits at every position.

        Args:
            tokens: token ids, [batch, position]; any id may stand for padding. Or a text, or a list of
                texts of one length.
            cache: keys and values of earlier positions, which these follow; it is filled further.
            valid: true at tokens, and false at padding after the text, which no position attends to:
                [batch, position], as `valid_positions` returns it. None if all are tokens.

        Returns:
            [batch, position, n_vocab]. At padding the logits are finite, but have no meaning.

        Raises:
            ModelError: an id outside the vocabulary, more positions than the model has, tokens that are
                not a nonempty matrix of integers, padding that is not at the end of a text, or a cache
                together with padding or without a causal mask.
        """
        return self._forward(tokens, cache, valid, self._blocks)

    def _forward(
        self,
        tokens: npt.ArrayLike,
        cache: Cache | None,
        valid: npt.ArrayLike | None,
        blocks: tuple[Block, ...],
    ) -> Array:
        ids = checked_ids(self, tokens, 0 if cache is None else cache.length)
        flags = None if valid is None else checked_valid(valid, ids)
        if cache is not None:
            check_cache(self, cache, ids, flags)
        rows = max(1, CHUNK // max(1, ids.shape[1] * self.shape.n_embd))
        if len(ids) <= rows:
            return self._run(ids, cache, _ignore, flags, blocks=blocks)
        out = np.empty((*ids.shape, self.shape.n_vocab), dtype=self.running_dtype)
        for start in range(0, len(ids), rows):
            part = slice(start, start + rows)
            seen = None if flags is None else flags[part]
            kept = None if cache is None else cache.rows(part)
            out[part] = self._run(ids[part], kept, _ignore, seen, blocks=blocks)
        if cache is not None:
            cache.advance(ids.shape[1])
        return out

    def trace(
        self,
        prompt: str | Sequence[str],
        names: AxisNames | None = None,
        stored: tuple[Stored, ...] = (),
    ) -> Trace:
        """Run a prompt and keep every named intermediate.

        Args:
            prompt: text or tokens.
            names: what the axes of intermediates stand for.
            stored: the values of the residual stream, for pictures.

        Raises:
            ModelError: the prompt is empty or too long.
            VocabularyError: the prompt has an unknown token.
        """
        ids = checked_prompt(self, prompt, to="trace")
        values: dict[str, Array] = {}

        def keep(name: str, value: Array) -> None:
            values[name] = value[0].copy()  # without the batch of one

        self._run(checked_ids(self, [ids], 0), None, keep)
        every = range(self.shape.n_vocab)
        tokens, answers = (tuple(map(self.vocabulary.token, each)) for each in (ids, every))
        return Trace(tokens, values, answers, names, stored)

    def watch(self, tokens: npt.ArrayLike, watch: Watch) -> Array:
        """The logits at every position, with every intermediate shown on the way.

        It runs without terms that are 0, as `answer` does. What nothing reads is not shown: of a block
        whose heads write nothing the attention, of one whose units write nothing the MLP.

        Args:
            tokens: token ids, [batch, position].
            watch: called with the name and the value of each; the names are those of `Trace`, the
                values have a batch axis, and may change once it returns.
        """
        return self._run(checked_ids(self, tokens, 0), None, watch, blocks=self._watched_blocks)

    def resume(self, stream: Array, done: int) -> Array:
        """The logits at every position, from a residual stream on, which may have been changed.

        Args:
            stream: [batch, position, n_embd], of texts without padding.
            done: how many halves of blocks it is after: 2 i + 1 the attention, 2 i + 2 the MLP of i.

        Returns:
            [batch, position, n_vocab].
        """
        x = stream.astype(self.running_dtype)
        return self._run_from(done, x, None, _ignore, None, self._pruned_blocks)

    def empty_cache(self, batch: int = 1, positions: int | None = None) -> Cache:
        """A cache for `batch` rows and `positions`, by default as many as the model has."""
        shape = self.shape
        return Cache.empty(
            layers=shape.n_layer,
            batch=batch,
            heads=shape.n_head,
            positions=shape.n_positions if positions is None else positions,
            head_dim=shape.head_dim,
            dtype=self.running_dtype,
        )

    def prompt_ids(self, prompt: str | Sequence[str]) -> tuple[int, ...]:
        """The ids of a prompt, which must have at least one token."""
        ids = self.vocabulary.ids(prompt)
        if not ids:
            raise ModelError("the prompt is empty", fix="give at least one token to predict from")
        return ids

    def check_masked(self, what: str, *, fix: str) -> None:
        """Raise unless later positions are masked, which `what` requires."""
        if not self.architecture.causal:
            raise ModelError(
                f"{what} needs the causal mask, but this model attends to later positions",
                where=f"the architecture {self.architecture.name} without mask",
                fix=fix,
            )

    def _run(
        self,
        ids: npt.NDArray[np.int64],
        cache: Cache | None,
        watch: Watch,
        valid: Flags | None = None,
        *,
        blocks: tuple[Block, ...] | None = None,
    ) -> Array:
        start = 0 if cache is None else cache.length
        wte, wpe = self._running["wte.weight"], self._running["wpe.weight"]
        x: Array = self._after_step(
            wte[ids] + wpe[start : start + ids.shape[1]]
        )  # [batch, position, n_embd]
        watch("embedding", x)
        return self._run_from(0, x, cache, watch, valid, self._blocks if blocks is None else blocks)

    def _run_from(
        self,
        done: int,
        x: Array,
        cache: Cache | None,
        watch: Watch,
        valid: Flags | None,
        blocks: tuple[Block, ...],
    ) -> Array:
        """The logits, once so many halves of blocks have run: attention and MLP by turns."""
        for layer, block in enumerate(blocks):
            if 2 * layer >= done:
                if block.attends:
                    x = self._after_step(x + self._attention(layer, block, x, cache, watch, valid))
                else:
                    x = self._after_step(x + block.attention.bias)
                watch(f"h.{layer}.after_attention", x)
            if 2 * layer + 1 < done:
                continue
            if block.mlp is not None:
                units = self._mlp(layer, block, x, watch) if block.has_units else block.mlp.bias
                x = self._after_step(x + units)
            watch(f"h.{layer}.output", x)
        if cache is not None:
            cache.advance(x.shape[1])
        x = self._norm("ln_f", x, watch)
        head = self._running["wte.weight" if self.architecture.tied else "lm_head.weight"]
        logits = self._after_step(product(x, head.T))  # [batch, position, n_embd] @ [n_embd, n_vocab]
        watch("logits", logits)
        return logits

    def _attention(
        self,
        layer: int,
        block: Block,
        x: Array,
        cache: Cache | None,
        watch: Watch,
        valid: Flags | None,
    ) -> Array:
        name = f"h.{layer}.attn"
        x = self._norm(f"h.{layer}.ln_1", x, watch)
        qkv = self._after_step(block.c_attn(x))  # [batch, position, 3 n_embd]
        q, k, v = (split_heads(part, self.shape.n_head) for part in np.split(qkv, 3, axis=-1))
        if cache is not None:
            k, v = cache.put(layer, k, v)
        q, k, v = q[..., : block.score_dims], k[..., : block.score_dims], v[..., : block.value_dims]
        scale = self.architecture.score_scale(self.shape.head_dim, layer)
        is_causal = self.architecture.causal
        if watch is _ignore and valid is None and is_causal:
            context = attend_causally(q, k, v, scale=scale, after_step=self._after_step)
            return self._after_step(block.attention(merge_heads(context)))
        seen = None if valid is None else valid[:, None]  # [batch, 1, source], for every head
        scores, pattern, out = attend(
            q, k, v, scale=scale, causal=is_causal, valid=seen, after_step=self._after_step
        )
        for part, value in (("query", q), ("key", k), ("value", v)):
            watch(f"{name}.{part}", value)  # [batch, head, position, head_dim]
        watch(f"{name}.scores", scores)
        watch(f"{name}.pattern", pattern)
        watch(f"{name}.head_output", out)
        written = self._after_step(block.attention(merge_heads(out)))
        watch(f"{name}.output", written)
        return written

    def _mlp(self, layer: int, block: Block, x: Array, watch: Watch) -> Array:
        assert block.c_fc is not None
        assert block.mlp is not None
        name = f"h.{layer}.mlp"
        x = self._norm(f"h.{layer}.ln_2", x, watch)
        before = self._after_step(block.c_fc(x))  # [batch, position, n_inner]
        watch(f"{name}.pre_activation", before)
        hidden = self._after_step(self._activated(before))
        watch(f"{name}.hidden", hidden)
        written = self._after_step(block.mlp(hidden))
        watch(f"{name}.output", written)
        return written

    def _activated(self, before: Array) -> Array:
        """What the hidden units make of their sums."""
        return ACTIVATIONS[self.architecture.activation](before)

    def _norm(self, name: str, x: Array, watch: Watch) -> Array:
        """LayerNorm where the architecture has one: [.., n_embd] -> [.., n_embd]."""
        if not self.architecture.has_norm:
            return x
        gain, bias = self._running[f"{name}.weight"], self._running[f"{name}.bias"]
        normed = self._after_step(layer_norm(x, gain, bias, self.architecture.norm_epsilon))
        watch(name, normed)
        return normed

    def _after_step(self, value: Array) -> Array:
        """What one step leaves for the next: all that it computed."""
        return value

    @cached_property
    def _running(self) -> Mapping[str, Array]:
        """The tensors in the dtype that the forward pass runs in."""
        if self.dtype == self.running_dtype:
            return self.tensors
        return {name: tensor.astype(self.running_dtype) for name, tensor in self.tensors.items()}

    @cached_property
    def _blocks(self) -> tuple[Block, ...]:
        return whole_blocks(self._running, self.shape.n_inner)

    @cached_property
    def _pruned_blocks(self) -> tuple[Block, ...]:
        return pruned_blocks(self, self._blocks)

    @cached_property
    def _watched_blocks(self) -> tuple[Block, ...]:
        return pruned_blocks(self, self._blocks, keep_units=True)

    @cached_property
    def _program_first(self) -> npt.NDArray[np.int64]:
        """All ids, those of the vocabulary first and in its order."""
        own = self.vocabulary.numbers
        others = np.setdiff1d(np.arange(self.shape.n_vocab), own)
        return np.concatenate([np.array(own, dtype=np.int64), others])

    def answer(self, contexts: npt.NDArray[np.int64], cache: Cache | None = None) -> Array:
        """The logits at every position, with tokens counted as the vocabulary counts them.

        As `forward`, but for terms that are 0: where most weights are, it takes a fraction of the
        time, and logits may differ from those of `forward` in their last bits.

        `contexts` are places in the vocabulary, [batch, position], not ids.

        Returns:
            [batch, position, n_vocab]: the tokens of the vocabulary in order, then all other ids.
        """
        if self.vocabulary.is_counted:
            return self._forward(contexts, cache, None, self._pruned_blocks)
        logits = self._forward(self._program_first[contexts], cache, None, self._pruned_blocks)
        return logits[..., self._program_first]

    def _repr_html_(self) -> str:
        """The sizes as a table, for notebooks."""
        facts = {
            "architecture": self.architecture.name,
            "tokens": self.shape.n_vocab,
            "positions": self.shape.n_positions,
            "width": self.shape.n_embd,
            "blocks": self.shape.n_layer,
            "heads": self.shape.n_head,
            "parameters": f"{self.parameters:,} ({self.nonzero_parameters:,} nonzero)",
            "dtype": self.dtype.name,
        }
        return html_table("GPT-2 in NumPy", facts.items())
