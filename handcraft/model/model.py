"""GPT-2 and Llama in NumPy: a model is its tensors, and a few functions of them."""

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
from handcraft.model.forward.cache import Cache
from handcraft.model.forward.checked_input import check_cache, checked_ids, checked_prompt
from handcraft.model.forward.forward_pass import ForwardPass
from handcraft.model.forward.gpt2 import Gpt2Pass, gpt2_blocks
from handcraft.model.forward.llama import LlamaPass, llama_blocks
from handcraft.model.forward.padding import checked_valid
from handcraft.model.forward.pruned import pruned_blocks
from handcraft.model.layers.activation import ACTIVATIONS
from handcraft.model.layers.attention import Array, Flags, Watch
from handcraft.model.layers.linear import Block
from handcraft.model.stored import Stored
from handcraft.model.tensors.axis_names import AxisNames
from handcraft.model.tensors.shape import Shape
from handcraft.model.tensors.tensor_axes import OutputMatrix, Writers, output_matrix
from handcraft.model.trace import Trace
from handcraft.vocabulary import Vocabulary, begin_name

CHUNK = 1 << 20
"""About how many numbers of the residual stream run at once: more would leave the CPU's caches."""


@short_repr
@dataclass(frozen=True, eq=False)
class Model:
    """A decoder-only transformer: its architecture, its sizes, its vocabulary and its tensors.

    Args:
        architecture: what it computes.
        shape: its sizes.
        vocabulary: the tokens, by id.
        tensors: the parameters, named and stored as in checkpoints: see `Shape.tensors`.
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
        return self.tensors["norm.weight" if self.architecture.is_rotary else "wpe.weight"].dtype

    @property
    def running_dtype(self) -> np.dtype[np.floating]:
        """The type in which the forward pass runs: that of the tensors, or float32 if wider."""
        return dtype_named(self.dtype.name).running.numpy

    @property
    def begin_id(self) -> int | None:
        """The id of the begin token, which the model puts before every text by itself.

        It is the last row of the token embedding; None for a model that embeds positions.
        """
        return self.shape.n_vocab - 1 if self.architecture.is_rotary else None

    @property
    def context(self) -> int:
        """The most tokens that a text has: every position but that of the begin token."""
        return self.shape.n_positions - (0 if self.begin_id is None else 1)

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
            return self._run(ids, cache, None, flags, blocks=blocks)
        out = np.empty((*ids.shape, self.shape.n_vocab), dtype=self.running_dtype)
        for start in range(0, len(ids), rows):
            part = slice(start, start + rows)
            seen = None if flags is None else flags[part]
            kept = None if cache is None else cache.rows(part)
            out[part] = self._run(ids[part], kept, None, seen, blocks=blocks)
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
        tokens, answers = (tuple(map(self.token_name, each)) for each in (ids, every))
        begin = () if self.begin_id is None else (self.token_name(self.begin_id),)
        return Trace((*begin, *tokens), values, answers, names, stored, lead=len(begin))

    def output_matrix(self, block: int, of: Writers) -> OutputMatrix:
        """The matrix by which the heads or the hidden units of a block write."""
        return output_matrix(block, of, rotary=self.architecture.is_rotary)

    def written(self, block: int, of: Writers) -> Array:
        """What each channel of the heads of a block, or each of its hidden units, writes for a 1.

        Returns:
            [channel, n_embd] or [unit, n_embd].
        """
        matrix = self.output_matrix(block, of)
        weight = self.tensors[matrix.weight]
        return weight.T if matrix.axis else weight

    def token_name(self, number: int) -> str:
        """The token of an id; the begin token has a name that no text has in it."""
        if number == self.begin_id:
            return begin_name(self.vocabulary)
        return self.vocabulary.token(number)

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
            stream: [batch, position, n_embd], of texts without padding, as `watch` shows it.
            done: how many halves of blocks it is after: 2 i + 1 the attention, 2 i + 2 the MLP of i.

        Returns:
            [batch, position, n_vocab].
        """
        x = stream.astype(self.running_dtype)
        logits = self._pass(x.shape[1]).logits(x, self._pruned_blocks, done)
        return logits[:, 0 if self.begin_id is None else 1 :]

    def empty_cache(self, batch: int = 1, positions: int | None = None) -> Cache:
        """A cache for `batch` texts of `positions`, by default as many as the model has.

        The begin token, where the model has one, is in it already and takes no position of a text.
        """
        room = self.context if positions is None else positions
        if self.begin_id is None:
            return self._unfilled(batch, room)
        cache, begun = self._unfilled(batch, room + 1), self._begun
        cache.keys[:, :, :, :1], cache.values[:, :, :, :1] = begun.keys, begun.values
        cache.lead = 1
        return cache

    @cached_property
    def _begun(self) -> Cache:
        """The keys and values of the begin token."""
        cache = self._unfilled(1, 1)
        self._run(np.array([[self.begin_id]]), cache, None)
        return cache

    def _unfilled(self, batch: int, positions: int) -> Cache:
        shape = self.shape
        return Cache.empty(
            layers=shape.n_layer,
            batch=batch,
            heads=shape.kv_heads,
            positions=positions,
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
        watch: Watch | None,
        valid: Flags | None = None,
        *,
        blocks: tuple[Block, ...] | None = None,
    ) -> Array:
        """The logits at every position of the texts; a cache has the begin token already."""
        lead, begin = 0, self.begin_id
        if cache is None and begin is not None:
            lead = 1
            ids = np.pad(ids, ((0, 0), (1, 0)), constant_values=begin)
            valid = None if valid is None else np.pad(valid, ((0, 0), (1, 0)), constant_values=True)
        run = self._pass(ids.shape[1], cache, watch, valid)
        x = run.embed(ids)
        run.show("embedding", x)
        return run.logits(x, self._blocks if blocks is None else blocks)[:, lead:]

    def _pass(
        self,
        count: int,
        cache: Cache | None = None,
        watch: Watch | None = None,
        valid: Flags | None = None,
    ) -> ForwardPass:
        steps = LlamaPass if self.architecture.is_rotary else Gpt2Pass
        return steps(
            self.architecture,
            self.shape,
            self._running,
            self._after_step,
            self._activated,
            count,
            cache,
            watch,
            valid,
        )

    def _activated(self, before: Array) -> Array:
        """What the hidden units make of their sums."""
        return ACTIVATIONS[self.architecture.activation](before)

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
        make = llama_blocks if self.architecture.is_rotary else gpt2_blocks
        return make(self._running, self.shape.n_inner)

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
        family = "Llama" if self.architecture.is_rotary else "GPT-2"
        return html_table(f"{family} in NumPy", facts.items())
