"""A plain engine in NumPy: every step that engines get wrong is a method, which a fault overrides.

It says what is right in each dtype, as numbers are rounded after every step, and what each fault would
answer. It shares no code with `handcraft.model`, against which tests compare it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.conformance.cases.request import Logits, Outcome, Request, outcome_of
from handcraft.dtype import dtype_named
from handcraft.model import Model
from handcraft.model.layers.attention import Array

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass
class State:
    """The cache of a batch: for each block keys and values, [batch, head, position, head_dim].

    Args:
        keys: the keys so far.
        values: the values so far.
        real: true at tokens and false at padding: [batch, position].
    """

    keys: list[Array]
    values: list[Array]
    real: Flags

    @property
    def length(self) -> int:
        """How many positions have been run."""
        return int(self.real.shape[1])


class Reference(ABC):
    """An engine; the network is in the subclass of the target.

    Args:
        model: the weights.
        dtype: to which every step is rounded.
    """

    def __init__(self, model: Model, dtype: str = "float32") -> None:
        self.model = model
        self.dtype = dtype_named(dtype).numpy
        self.tensors = {
            name: tensor.astype(self.dtype).astype(np.float32) for name, tensor in model.tensors.items()
        }

    # How a request is run

    def answer(self, request: Request) -> Outcome:
        """Run a request."""
        if request.kind == "encode":
            return Outcome((self.encode(request.text),))
        with np.errstate(all="ignore"):
            if request.kind == "every":
                ids = np.array(request.prompts)
                return outcome_of(list(self.feed(self.begin(1), ids, np.ones_like(ids, dtype=bool))))
            if request.kind == "pieces":
                return outcome_of([self.in_pieces(request.prompts[0], request.pieces)])
            if request.kind == "beams":
                return Outcome((self.search(request.prompts[0], request.new_tokens, request.beams),))
            return self.generate(request)

    def generate(self, request: Request) -> Outcome:
        """Greedy tokens after each prompt."""
        ids, real = self.pad(request.prompts)
        state = self.begin(len(ids))
        logits = self.feed(state, ids, real)[:, -1]
        steps: list[Logits] = []
        going = np.ones(len(ids), dtype=bool)
        tokens: list[list[int]] = [[] for _ in request.prompts]
        for step in range(request.new_tokens):
            steps.append(logits)
            chosen = logits.argmax(axis=-1)
            for row in np.flatnonzero(going):
                tokens[row].append(int(chosen[row]))
            going &= ~np.isin(chosen, self.ends(request))
            if step + 1 == request.new_tokens or not going.any():
                break
            logits = self.feed(state, chosen[:, None], np.ones((len(ids), 1), dtype=bool))[:, -1]
        rows = self.rows_in_order(list(range(len(ids))))
        found = np.stack(steps, axis=1)
        return Outcome(
            tuple(tuple(tokens[row]) for row in rows),
            tuple(found[row, : len(tokens[row])] for row in rows),
        )

    def in_pieces(self, prompt: tuple[int, ...], pieces: tuple[int, ...]) -> Logits:
        """The logits after each piece of a prompt: [piece, n_vocab]."""
        state, start, found = self.begin(1), 0, []
        for length in pieces:
            ids = np.array([prompt[start : start + length]])
            found.append(self.feed(state, ids, np.ones_like(ids, dtype=bool))[0, -1])
            start += length
        return np.stack(found)

    def search(self, prompt: tuple[int, ...], new_tokens: int, beams: int) -> tuple[int, ...]:
        """The best text of a beam search without a penalty for length."""
        state = self.begin(1)
        ids = np.array([prompt])
        logits = self.feed(state, ids, np.ones_like(ids, dtype=bool))[:, -1]
        texts: list[tuple[int, ...]] = [()]
        scores = np.zeros(1)
        for step in range(new_tokens):
            total = scores[:, None] + _log_softmax(logits)  # [beam, n_vocab]
            best = np.argsort(-total, axis=None, kind="stable")[:beams]
            parents, tokens = np.divmod(best, total.shape[1])
            scores = total.reshape(-1)[best]
            texts = [(*texts[p], int(t)) for p, t in zip(parents, tokens, strict=True)]
            if step + 1 < new_tokens:
                self.reorder(state, parents)
                real = np.ones((len(tokens), 1), dtype=bool)
                logits = self.feed(state, tokens[:, None], real)[:, -1]
        return texts[int(scores.argmax())]

    def reorder(self, state: State, parents: Ids) -> None:
        """Let every beam go on from the cache of its parent."""
        state.keys = [keys[parents] for keys in state.keys]
        state.values = [values[parents] for values in state.values]
        state.real = state.real[parents]

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of a text, after the begin token where the model has one."""
        begin = self.model.begin_id
        return (*(() if begin is None else (begin,)), *self.model.vocabulary.ids(text))

    def ends(self, request: Request) -> list[int]:
        """The ids that end a text."""
        return [] if request.end is None else [request.end]

    def rows_in_order(self, rows: list[int]) -> list[int]:
        """In which order the rows of a batch are given back."""
        return rows

    def pad(self, prompts: tuple[tuple[int, ...], ...]) -> tuple[Ids, Flags]:
        """A batch, padded on the left with the last id: [batch, position]."""
        length = max(map(len, prompts))
        ids = np.full((len(prompts), length), self.model.shape.n_vocab - 1)
        real = np.zeros(ids.shape, dtype=bool)
        for row, prompt in enumerate(prompts):
            ids[row, length - len(prompt) :] = prompt
            real[row, length - len(prompt) :] = True
        return ids, real

    # Positions and masks

    def begin(self, rows: int) -> State:
        """An empty cache."""
        shape = self.model.shape
        empty = np.zeros((rows, shape.kv_heads, 0, shape.head_dim), dtype=np.float32)
        blocks = range(shape.n_layer)
        return State([empty for _ in blocks], [empty for _ in blocks], np.zeros((rows, 0), dtype=bool))

    def feed(self, state: State, ids: Ids, real: Flags) -> Array:
        """The logits at new positions, [batch, new, n_vocab]; the cache grows."""
        past = state.length
        state.real = np.concatenate([state.real, real], axis=1)
        positions = self.positions(state.real, past)
        visible = self.visible(state.real, past)
        x = self.embed(ids, positions)
        for layer in self.layers():
            x = self.block(layer, x, state, visible, positions)
        return self.unembed(x)

    def positions(self, real: Flags, past: int) -> Ids:
        """The position of each new token among the tokens of its row: [batch, new]."""
        counted: Ids = np.maximum(np.cumsum(real, axis=1) - 1, 0)
        return counted[:, past:]

    def visible(self, real: Flags, past: int) -> Flags:
        """Which positions a new one sees: [batch, new, position]."""
        place = np.arange(real.shape[1])
        earlier = place[None, :] <= place[past:, None]
        window = self.window()
        if window is not None:
            earlier = earlier & (place[None, :] > place[past:, None] - window)
        seen: Flags = earlier[None] & real[:, None, :]
        return seen

    def window(self) -> int | None:
        """How many positions a position sees, itself among them."""
        return self.model.architecture.window

    # The network

    def layers(self) -> list[int]:
        """The blocks in the order in which they run."""
        return list(range(self.model.shape.n_layer))

    @abstractmethod
    def embed(self, ids: Ids, positions: Ids) -> Array:
        """The stream at the beginning: [batch, new, n_embd]."""

    def block(self, layer: int, x: Array, state: State, visible: Flags, positions: Ids) -> Array:
        """One block: attention and then the MLP, each on a normed stream."""
        before, between = self.norm_names(layer)
        x = self.kept(x + self.attention(layer, self.norm(before, x), state, visible, positions))
        return self.kept(x + self.mlp(layer, self.norm(between, x)))

    @abstractmethod
    def norm_names(self, layer: int) -> tuple[str, str]:
        """The names of the norms of a block."""

    @abstractmethod
    def norm(self, name: str, x: Array) -> Array:
        """A norm with its gain."""

    def attention(self, layer: int, x: Array, state: State, visible: Flags, positions: Ids) -> Array:
        """What the heads write: [batch, new, n_embd]."""
        query, key, value = self.named(*self.projections(layer, x, positions))
        keys, values = self.remember(state, layer, key, value)
        group = query.shape[1] // keys.shape[1]
        keys, values = self.shared(keys, group), self.shared(values, group)
        products = self.kept(query @ keys.swapaxes(-1, -2))  # [batch, head, new, position]
        scores = self.kept(products * np.float32(self.score_scale(layer)))
        hidden = np.float32(np.finfo(np.float32).min)
        pattern = self.kept(self.softmax(np.where(visible[:, None], scores, hidden)))
        out = self.kept(pattern @ values)  # [batch, head, new, head_dim]
        return self.write(layer, self.merge(out))

    @abstractmethod
    def projections(self, layer: int, x: Array, positions: Ids) -> tuple[Array, Array, Array]:
        """Queries, keys and values: [batch, head, new, head_dim]."""

    def named(self, query: Array, key: Array, value: Array) -> tuple[Array, Array, Array]:
        """Which of the three is which."""
        return query, key, value

    def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
        """Add keys and values to the cache, and read all of them."""
        state.keys[layer] = np.concatenate([state.keys[layer], key], axis=2)
        state.values[layer] = np.concatenate([state.values[layer], value], axis=2)
        return state.keys[layer], state.values[layer]

    def shared(self, heads: Array, group: int) -> Array:
        """Give every query its key or value head: each serves `group` queries in a row."""
        return np.repeat(heads, group, axis=1)

    def score_scale(self, layer: int) -> float:
        """The factor of scores."""
        architecture = self.model.architecture
        scale = 1 / sqrt(self.model.shape.head_dim) if architecture.scales_scores else 1.0
        return scale / (layer + 1) if architecture.scales_by_layer else scale

    def softmax(self, scores: Array) -> Array:
        """Attention weights."""
        raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights: Array = raised / raised.sum(axis=-1, keepdims=True)
        return weights

    def split(self, x: Array, heads: int) -> Array:
        """[batch, new, heads * head_dim] -> [batch, head, new, head_dim]."""
        rows, new, _ = x.shape
        return x.reshape(rows, new, heads, -1).swapaxes(1, 2)

    def merge(self, heads: Array) -> Array:
        """[batch, head, new, head_dim] -> [batch, new, heads * head_dim]."""
        rows, _, new, _ = heads.shape
        return heads.swapaxes(1, 2).reshape(rows, new, -1)

    @abstractmethod
    def write(self, layer: int, x: Array) -> Array:
        """What the output matrix of attention makes of the heads."""

    @abstractmethod
    def mlp(self, layer: int, x: Array) -> Array:
        """What the MLP writes."""

    @abstractmethod
    def activation(self, x: Array) -> Array:
        """The function of hidden units."""

    @abstractmethod
    def final_norm(self, x: Array) -> Array:
        """The norm before the unembedding."""

    def unembed(self, x: Array) -> Array:
        """The logits: [batch, new, n_vocab]."""
        return self.kept(self.final_norm(x) @ self.unembedding().T)

    @abstractmethod
    def unembedding(self) -> Array:
        """The matrix of the logits: [n_vocab, n_embd]."""

    def kept(self, value: Any) -> Array:
        """What a step leaves for the next, rounded to the dtype."""
        rounded: Array = np.asarray(value, dtype=np.float32)
        return rounded if self.dtype == np.float32 else rounded.astype(self.dtype).astype(np.float32)


def _log_softmax(logits: Array) -> npt.NDArray[np.float64]:
    """The logarithms of probabilities."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    probabilities: npt.NDArray[np.float64] = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return probabilities
