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

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_cases.alternatives import Blamed, kinds_of_rows
from handcraft_check.by_cases.attend import Sources, attend
from handcraft_check.by_cases.states import Store, alike, coarsened, coarsened_stream, distinct, hull
from handcraft_check.layers.model import Model
from handcraft_check.program.evaluate import Evaluator
from handcraft_check.program.undecided import told_apart

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Entries:
    """What later positions read of earlier ones: keys, values of each layer, and what is meant there.

    An entry is either decided, or a set of decided ones, its alternatives. Each has a number, and one
    token that may stand there, as an example.
    """

    def __init__(self, layers: int, crossing: Sequence[int]) -> None:
        self.crossing = crossing
        self.stores = [Store() for _ in range(2 * layers)]
        self.width = 2 * layers + len(crossing)
        self.numbers: list[tuple[int, ...]] = []
        self.parts: list[tuple[int, ...]] = []
        self.examples: list[int] = []
        self._positions: list[int | None] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._sets: dict[frozenset[int], int] = {}
        self._united: dict[tuple[int, ...], int] = {}
        self._kinds: dict[tuple[int, int, int], list[int]] = {}
        self._table: Ids | None = None
        self._is_set: Flags | None = None

    def __getstate__(self) -> dict[str, Any]:
        """All of it but for what can be made again, as few arrays."""
        return {
            "stores": self.stores,
            "crossing": self.crossing,
            "numbers": self.table,
            "positions": np.array([-1 if at is None else at for at in self._positions], dtype=np.int64),
            "sizes": np.array([len(parts) for parts in self.parts], dtype=np.int64),
            "parts": np.array([part for parts in self.parts for part in parts], dtype=np.int64),
            "examples": np.array(self.examples, dtype=np.int64),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(len(state["stores"]) // 2, state["crossing"])  # type: ignore[misc]
        self.stores = state["stores"]
        ends = np.cumsum(state["sizes"])[:-1]
        parts = map(tuple, (each.tolist() for each in np.split(state["parts"], ends)))
        rows = zip(
            map(tuple, state["numbers"].tolist()),
            state["positions"].tolist(),
            parts,
            state["examples"].tolist(),
            strict=False,  # of no entries, no parts are one list
        )
        for number, (row, at, some, example) in enumerate(rows):
            position = None if at < 0 else at
            self._add(row, some, example, position)
            if some:
                self._sets[frozenset(some)] = number
            else:
                self._known[(position, *row)] = number

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
                self._add(row, (), token, position)
            found.append(number)
        return np.array(found, dtype=np.int64)[places]

    def union(self, entries: Sequence[int], evaluator: Evaluator) -> int:
        """The entry that may be any of some decided ones or of their alternatives."""
        if len(entries) == 1:
            return entries[0]
        members = tuple(entries)
        if members in self._united:
            return self._united[members]
        parts = frozenset(p for e in entries for p in (self.parts[e] or (e,)))
        if parts not in self._sets:
            self._sets[parts] = self._of_parts(parts, evaluator)
        self._united[members] = self._sets[parts]
        return self._sets[parts]

    def _of_parts(self, parts: frozenset[int], evaluator: Evaluator) -> int:
        """A new entry with these alternatives."""
        if len(parts) == 1:
            return next(iter(parts))
        listed = sorted(parts)
        row: list[int] = []
        for store_number, store in enumerate(self.stores):
            both = hull(store.rows[sorted({self.numbers[p][store_number] for p in listed})])
            row += store.numbers(Bounded(both.center[None], both.error[None])).tolist()
        for i, node in enumerate(self.crossing, len(self.stores)):
            sets = evaluator.sets[node]
            row.append(sets.number(v for p in listed for v in sets.listed[self.numbers[p][i]]))
        return self._add(tuple(row), tuple(listed), self.examples[listed[0]], None)

    def kinds(self, entry: int, layer: int, reader: int, evaluator: Evaluator) -> list[int]:
        """The entries in place of one, of which a reader must know more; itself where none would help.

        They are what the reader tells apart of its alternatives or, if that is nothing, these.

        Args:
            entry: of an earlier position.
            layer: as in `Blamed`.
            reader: the same.
            evaluator: tells what nodes read.
        """
        known = self._kinds.get((entry, layer, reader))
        if known is not None:
            return known
        parts = list(self.parts[entry]) or [entry]
        table = self.table[parts]
        if layer < 0:
            read = evaluator.nodes[reader].elsewhere
            columns = [
                (i, node) for i, node in enumerate(self.crossing, len(self.stores)) if node in read
            ]
            told = [
                tuple(told_apart(evaluator, reader, node, int(row[i])) for i, node in columns)
                for row in table
            ]
            first = {each: number for number, each in enumerate(dict.fromkeys(told))}
            kinds = np.array([first[each] for each in told])
        else:
            rows = [self.stores[2 * layer + i].rows[table[:, 2 * layer + i]] for i in (0, 1)]
            kinds = kinds_of_rows(
                Bounded(
                    np.concatenate([each.center[:, reader] for each in rows], axis=1),
                    np.concatenate([each.error[:, reader] for each in rows], axis=1),
                )
            )
        found = parts
        if kinds.max() > 0:
            found = [
                self.union([parts[i] for i in np.flatnonzero(kinds == kind)], evaluator)
                for kind in range(kinds.max() + 1)
            ]
        self._kinds[(entry, layer, reader)] = found
        return found

    def _add(
        self, row: tuple[int, ...], parts: tuple[int, ...], example: int, position: int | None
    ) -> int:
        self.numbers.append(row)
        self._positions.append(position)
        self.examples.append(example)
        self.parts.append(parts)
        self._table = None
        return len(self.numbers) - 1

    @property
    def table(self) -> Ids:
        """The numbers of each entry: [entry, store + node]."""
        if self._table is None:
            self._table = np.array(self.numbers, dtype=np.int64).reshape(-1, self.width)
            self._is_set = np.array([len(p) > 0 for p in self.parts], dtype=bool)
        return self._table

    def read(self, entries: Ids, columns: slice) -> Ids:
        """Some of the numbers of entries: [...] -> [..., store + node]."""
        if not self.numbers:
            return np.empty((*entries.shape, len(range(*columns.indices(self.width)))), dtype=np.int64)
        return self.table[:, columns][entries]

    def is_set(self, entries: Ids) -> Flags:
        """Which entries have several alternatives: [...]."""
        _ = self.table
        assert self._is_set is not None
        return self._is_set[entries] if self.numbers else np.zeros(entries.shape, dtype=bool)


@dataclass(frozen=True, eq=False)
class Ran:
    """One position of a model in some cases.

    Args:
        numbers: of its keys and values in the store of each layer: [row, store].
        last: the distinct last streams: [kind, n_embd].
        logits: what is read of each: [kind, vocab_size].
        kinds: which of them each row has: [row].
        blame: the undecided source that spreads most in the first layer where one does.
    """

    numbers: Ids
    last: Stream
    logits: Bounded
    kinds: Ids
    blame: Blamed


class Runner:
    """Runs a model at one position after the other.

    Args:
        model: the model.
        token_ids: the id of each token of the vocabulary.
        entries: what later positions read.
        anywhere: positions at any of which a rotated key may be; None for only its own.
    """

    def __init__(
        self, model: Model, token_ids: Ids, entries: Entries, anywhere: Ids | None = None
    ) -> None:
        self.model, self.token_ids, self.entries, self.anywhere = model, token_ids, entries, anywhere

    def wide(self, token: int, position: int, sources: Ids) -> tuple[int, Array]:
        """The first layer that knows too little of decided sources of a case, and how far these spread.

        Args:
            token: a place in the vocabulary.
            position: where it stands.
            sources: the entries of earlier positions: [source].

        Returns:
            The layer and, for each source, 0 or by how much more than `WIDE` it spreads the stream.
        """
        influences: list[Array] = []
        self.run(np.array([token]), position, sources[None], influences)
        for layer, influence in enumerate(influences):
            spreads = np.where(self.entries.is_set(sources) | (influence[0] <= WIDE), 0.0, influence[0])
            if spreads.any():
                return layer, spreads
        return 0, np.zeros(len(sources))

    def run(
        self, tokens: Ids, position: int, sources: Ids, influences: list[Array] | None = None
    ) -> Ran:
        """One position in some cases.

        Args:
            tokens: the token there, a place in the vocabulary: [row].
            position: which that is.
            sources: the entries of earlier positions: [row, source].
            influences: to which is added, of each layer, how far each source spreads the stream,
                [row, source].
        """
        first, kinds = distinct(tokens)
        x = self.model.embed(self.token_ids[tokens[first]], position)
        layers = self.model.config.n_layer
        numbers = np.empty((len(tokens), 2 * layers), dtype=np.int64)
        blame = Blamed.nobody(len(tokens))
        is_set = self.entries.is_set(sources)
        for layer in range(layers):
            store = slice(2 * layer, 2 * layer + 2)
            if self.model.blocks[layer].heads.count:
                queries, keys, values = self.model.attend_from(layer, x, position, self.anywhere)
                for i, part in zip((2 * layer, 2 * layer + 1), (keys, values), strict=True):
                    numbers[:, i] = self.entries.stores[i].numbers(self._coarse(part, READ_PARTS))[
                        kinds
                    ]
                pairs = [self.entries.read(sources, store), numbers[:, None, store]]
                seen = np.concatenate([*self._begun(layer, len(tokens)), *pairs], axis=1)
                hidden = max(0, seen.shape[1] - (self.model.config.window or seen.shape[1]))
                x, kinds, spreads = self._attend(layer, x, kinds, queries, seen[:, hidden:])
                spreads = [(_of_sources(each, sources.shape[1]), rows) for each, rows in spreads]
                influence = _added(spreads)
                blame.note(layer, np.where(is_set, influence, 0.0), NEGLIGIBLE, spreads)
            else:
                influence = np.zeros(sources.shape)
                none = np.zeros((len(x.center), 0, 0))
                numbers[:, store] = [each.numbers(NOTHING)[0] for each in self.entries.stores[store]]
                x = self.model.written(layer, x, Bounded(none, none))
            if influences is not None:
                influences.append(influence)
            x = self.model.feed_forward(layer, x)
            if layer < layers - 1:
                x, merged = self._alike(x)
                kinds = merged[kinds]
        return Ran(numbers, x, self.model.logits(x), kinds, blame)

    def _begun(self, layer: int, rows: int) -> list[Ids]:
        """The numbers of what is in front of every text: [row, 1, 2] each."""
        stores = self.entries.stores[2 * layer : 2 * layer + 2]
        begun = self.model.begun[layer : layer + 1]
        found = [
            [store.numbers(part)[0] for store, part in zip(stores, parts, strict=True)]
            for parts in begun
        ]
        return [np.broadcast_to(np.array(each), (rows, 1, 2)) for each in found]

    def _coarse(self, x: Bounded, parts: int = 128) -> Bounded:
        """Wider bounds, in which more rows are equal; numbers of few digits often are without."""
        return x if self.model.regime.is_half else coarsened(x, parts)

    def _alike(self, x: Stream) -> tuple[Stream, Ids]:
        """Rows of which several are one, and which of them each row is."""
        if self.model.regime.is_half:
            first, kinds = distinct(*x.columns)
            return x[first], kinds
        return alike(coarsened_stream(x))

    def _attend(
        self, layer: int, x: Stream, kinds: Ids, queries: Bounded, sources: Ids
    ) -> tuple[Stream, Ids, list[tuple[Array, Ids]]]:
        """The stream behind one attention layer.

        Returns:
            The distinct rows, which of them each case has, and of each head how far each source spreads
            the stream, [kind, source], and the kind of each case.
        """
        heads = self.model.blocks[layer].heads
        keys, values = (self.entries.stores[2 * layer + i].rows for i in (0, 1))
        every = Sources(keys, values, sources[:, :, 0], sources[:, :, 1])
        read = [attend(self.model, layer, head, queries, kinds, every) for head in range(heads.count)]
        first, together = distinct(kinds, *(each.kinds for each in read))
        shape = (len(first), heads.count, heads.moved)
        center, error = (np.empty(shape, dtype=x.center.dtype) for _ in range(2))
        for head, each in enumerate(read):
            center[:, head], error[:, head] = (
                part[each.kinds[first]] for part in (each.out.center, each.out.error)
            )
        after = self.model.written(layer, x[kinds[first]], Bounded(center, error))
        stream, merged = self._alike(after)
        return stream, merged[together], [(each.spread, each.kinds) for each in read]


def _of_sources(spread: Array, count: int) -> Array:
    """The columns of the earlier positions of a text: 0 of those that are not seen.

    Args:
        spread: of what a head sees, up to the position itself: [kind, source].
        count: how many earlier positions there are.
    """
    found = np.zeros((len(spread), count))
    seen = min(count, spread.shape[1] - 1)
    found[:, count - seen :] = spread[:, spread.shape[1] - 1 - seen : -1]
    return found


def _added(spreads: Sequence[tuple[Array, Ids]]) -> Array:
    """How far each source spreads the stream through all heads: [row, source]."""
    return np.asarray(sum(spread[kinds] for spread, kinds in spreads))


NOTHING = Bounded(np.zeros((1, 0, 0)), np.zeros((1, 0, 0)))
"""The keys, or the values, of a block of which all heads are 0."""

WIDE = 2.0**-9
"""A decided source that spreads the stream by more was computed from undecided ones."""

READ_PARTS = 32
"""Keys and values on a coarser grid: they differ where something that nobody reads does."""

NEGLIGIBLE = 2.0**-20
"""A source that spreads the residual stream by less is not decided: rounding does as much."""
