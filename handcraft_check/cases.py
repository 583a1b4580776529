"""Proof by cases: sets of contexts, made smaller where one calculation does not suffice for all.

A case is a text of which each position is decided or has several alternatives. What heads read of an
undecided position is known up to the spread of its alternatives, and so is what the program means.
Where that is too much to show which token is predicted, the position that matters most is decided, one
case for each alternative. What was decided for one position is forgotten behind it, unless a later
proof needs it: a case that stands for more contexts than there are can fail, but never prove too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.evaluate import Evaluator
from handcraft_check.model import Model
from handcraft_check.regime import Array
from handcraft_check.rounding import Bounded
from handcraft_check.states import Store, coarsened, distinct

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

ROWS = 1 << 13
"""How many cases attend at once: what they read of all sources is in memory."""


class Entries:
    """What later positions read of earlier ones: keys, values of each layer, and what is meant there.

    An entry is either decided, or a set of decided ones, its alternatives. Each has a number, and one
    token that may stand there, as an example.
    """

    def __init__(self, layers: int, crossing: Sequence[int]) -> None:
        self.crossing = crossing
        self.stores = [Store() for _ in range(2 * layers)]
        self.numbers: list[tuple[int, ...]] = []
        self.parts: list[tuple[int, ...]] = []
        self.examples: list[int] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._sets: dict[frozenset[int], int] = {}
        self._table: Ids | None = None
        self._is_set: Flags | None = None

    def decided(self, numbers: Ids, tokens: Ids, position: int | None) -> Ids:
        """The entries of rows: [row].

        Args:
            numbers: those of keys and values in each store, and of the set of each crossing node:
                [row, store + node].
            tokens: what stands there, places in the vocabulary: [row].
            position: where they stand; None if their order does not matter.
        """
        first, places = distinct(numbers)
        found = []
        for row, token in zip(map(tuple, numbers[first].tolist()), tokens[first].tolist(), strict=True):
            number = self._known.setdefault((position, *row), len(self.numbers))
            if number == len(self.numbers):
                self._add(row, (), token)
            found.append(number)
        return np.array(found, dtype=np.int64)[places]

    def union(self, entries: Sequence[int], evaluator: Evaluator) -> int:
        """The entry that may be any of some decided ones or of their alternatives."""
        parts = frozenset(p for e in entries for p in (self.parts[e] or (e,)))
        if len(parts) == 1:
            return next(iter(parts))
        if parts in self._sets:
            return self._sets[parts]
        listed = sorted(parts)
        row: list[int] = []
        for store_number, store in enumerate(self.stores):
            rows = store.rows[sorted({self.numbers[p][store_number] for p in listed})]
            low, high = (rows.center - rows.error).min(axis=0), (rows.center + rows.error).max(axis=0)
            center = (low + high) / 2
            spread = np.maximum(high - center, center - low)
            exact = (rows.center == rows.center[:1]).all(axis=0) & (rows.error == rows.error[:1]).all(
                axis=0
            )
            center = np.where(exact, rows.center[0], center)
            spread = np.where(exact, rows.error[0], spread)
            row += store.numbers(Bounded(center[None], spread[None])).tolist()
        for i, node in enumerate(self.crossing, len(self.stores)):
            sets = evaluator.sets[node]
            row.append(sets.number(v for p in listed for v in sets.listed[self.numbers[p][i]]))
        self._sets[parts] = len(self.numbers)
        return self._add(tuple(row), tuple(listed), self.examples[listed[0]])

    def _add(self, row: tuple[int, ...], parts: tuple[int, ...], example: int) -> int:
        self.numbers.append(row)
        self.examples.append(example)
        self.parts.append(parts)
        self._table = None
        return len(self.numbers) - 1

    @property
    def table(self) -> Ids:
        """The numbers of each entry: [entry, store + node]."""
        if self._table is None:
            self._table = np.array(self.numbers, dtype=np.int64).reshape(len(self.numbers), -1)
            self._is_set = np.array([len(p) > 0 for p in self.parts], dtype=bool)
        return self._table

    @property
    def is_set(self) -> Flags:
        """Which entries have several alternatives: [entry]."""
        _ = self.table
        assert self._is_set is not None
        return self._is_set


@dataclass(frozen=True, eq=False)
class Ran:
    """One position of a model in some cases.

    Args:
        numbers: of its keys and values in the store of each layer: [row, store].
        logits: the distinct ones: [kind, vocab_size].
        kinds: which of them each row has: [row].
        blame: the undecided source that spreads most in the first layer where one does; -1 for none.
        wide: the decided source of which too little is known, in the first layer where one is; -1 for
            none: [row].
    """

    numbers: Ids
    logits: Bounded
    kinds: Ids
    blame: Ids
    wide: Ids


class Runner:
    """Runs a model at one position after the other."""

    def __init__(self, model: Model, token_ids: Ids, entries: Entries) -> None:
        self.model, self.token_ids, self.entries = model, token_ids, entries

    def run(self, tokens: Ids, position: int, sources: Ids) -> Ran:
        """One position in some cases.

        Args:
            tokens: the token there, a place in the vocabulary: [row].
            position: which that is.
            sources: the entries of earlier positions: [row, source].
        """
        first, kinds = distinct(tokens)
        x = self.model.embed(self.token_ids[tokens[first]], position)
        layers = self.model.config.n_layer
        numbers = np.empty((len(tokens), 2 * layers), dtype=np.int64)
        blame, wide = np.full(len(tokens), -1), np.full(len(tokens), -1)
        is_set = (
            self.entries.is_set[sources] if sources.shape[1] else np.zeros(sources.shape, dtype=bool)
        )
        for layer in range(layers):
            queries, keys, values = self.model.attend_from(layer, x)
            for i, part in enumerate((keys, values)):
                stored = self.entries.stores[2 * layer + i].numbers(self._coarse(part, READ_PARTS))
                numbers[:, 2 * layer + i] = stored[kinds]
            own = numbers[:, 2 * layer : 2 * layer + 2]
            read = (
                self.entries.table[sources][:, :, 2 * layer : 2 * layer + 2]
                if sources.shape[1]
                else (np.empty((len(tokens), 0, 2), dtype=np.int64))
            )
            pairs = np.concatenate([read, own[:, None]], axis=1)  # [row, source, 2]
            x, kinds, influence = self._attend(layer, x, kinds, queries, pairs)
            for which, flags in ((blame, is_set), (wide, ~is_set)):
                most = np.where(flags, influence[:, :-1], 0.0)
                if most.shape[1]:
                    largest = most.argmax(axis=1)
                    limit = NEGLIGIBLE if which is blame else WIDE
                    is_new = (which < 0) & (most[np.arange(len(largest)), largest] > limit)
                    which[is_new] = largest[is_new]
            x = self._coarse(self.model.feed_forward(layer, x))
            first, merged = distinct(x.center, x.error)
            x, kinds = x[first], merged[kinds]
        return Ran(numbers, self.model.logits(x), kinds, blame, wide)

    def _coarse(self, x: Bounded, parts: int = 128) -> Bounded:
        """Wider bounds, in which more rows are equal; numbers of few digits often are without."""
        return x if self.model.regime.is_half else coarsened(x, parts)

    def _attend(
        self, layer: int, x: Bounded, kinds: Ids, queries: Bounded, sources: Ids
    ) -> tuple[Bounded, Ids, Array]:
        """The stream behind one attention layer.

        Returns:
            The distinct rows, which of them each case has, and how far each source spreads the stream,
            [row, source].
        """
        keys, values = (self.entries.stores[2 * layer + i].rows for i in (0, 1))
        pairs = kinds[:, None] * len(keys.center) + sources[:, :, 0]  # [row, source]
        known, places = np.unique(pairs, return_inverse=True)
        table = self.model.pair_scores(
            layer, queries[known // len(keys.center)], keys[known % len(keys.center)]
        )  # [pair, head]
        places = places.reshape(pairs.shape)
        first, together = distinct(kinds, sources)
        weight = self.model.write_sizes[layer]  # [head, head_dim]
        streams: list[Bounded] = []
        spreads: list[Array] = []
        for start in range(0, len(first), ROWS):
            rows = first[start : start + ROWS]
            scores = Bounded(
                table.center[places[rows]].swapaxes(1, 2), table.error[places[rows]].swapaxes(1, 2)
            )  # [row, head, source]
            read = values[sources[rows, :, 1]]  # [row, source, head, head_dim]
            read = Bounded(read.center.swapaxes(1, 2), read.error.swapaxes(1, 2))
            weights, out = self.model.attention(scores, read)
            streams.append(self._coarse(self.model.written(layer, x[kinds[rows]], out)))
            apart = np.abs(read.center - out.center[:, :, None, :])
            spreads.append(
                np.einsum("rhs,rhsd,hd->rs", weights.most, read.error, weight)
                + np.einsum("rhs,rhsd,hd->rs", weights.error, apart, weight)
            )
        center = np.concatenate([part.center for part in streams])
        error = np.concatenate([part.error for part in streams])
        apart_rows, merged = distinct(center, error)
        stream = Bounded(center[apart_rows], error[apart_rows])
        return stream, merged[together], np.concatenate(spreads)[together]


WIDE = 2.0**-9
"""A decided source that spreads the stream by more was computed from undecided ones."""

READ_PARTS = 32
"""Keys and values on a coarser grid: they differ where something that nobody reads does."""

NEGLIGIBLE = 2.0**-20
"""A source that spreads the residual stream by less is not decided: rounding does as much."""
