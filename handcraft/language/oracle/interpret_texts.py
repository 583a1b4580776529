"""The oracle of expressions over many texts at once: the same as `interpret`, with arrays.

Every value that occurs at a node gets a code, and arrays store the codes: [text, position], with one
row if a value depends on the position only. Functions of values at the same position are tables over
codes; a row is filled when it first occurs, by the same `compute` as in the plain oracle. Sums are of
whole numbers over one denominator, as long as they fit in int64. Everything else is computed by the
plain oracle, one text at a time, node by node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod

import numpy as np

from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Aggregate, Assumed, Constant, Embedded, Linear, Node, walk
from handcraft.language.graph.reachable import POINTWISE, compute
from handcraft.language.oracle.interned import LARGEST, UNDEFINED, Ids, Interned
from handcraft.language.oracle.interpret import interpret
from handcraft.language.oracle.select_texts import Flags, Selecting

TABLE_UP_TO = 1 << 18
"""The most rows of a table over codes; with more, only rows that occur are stored."""

KEPT_UP_TO = 1 << 18
"""If one node has more values than this, all codes are dropped before the next texts."""


@dataclass(frozen=True, eq=False)
class Computed:
    """The values of nodes on some texts.

    Args:
        codes: for each node, [text, position], or [1, position] where all texts have the same.
        values: for each node, what its codes stand for.
        defined: at how many positions, from the first, each text has values, since it breaks no
            assumption there: [text]. Without a causal mask all or none.
        selects: for each aggregate, whether it selects a source: [text, position] or [1, position].
    """

    codes: dict[Node, Ids]
    values: dict[Node, Interned]
    defined: Ids
    selects: dict[Aggregate, Flags]


class TextsOracle:
    """Computes nodes on many texts at once, and keeps the tables that it made for that."""

    def __init__(self, nodes: Sequence[Node], tokens: Sequence[str], *, causal: bool) -> None:
        self.nodes = tuple(nodes)
        self.tokens = tuple(tokens)
        self.causal = causal
        self._order = tuple(walk(*nodes))
        self._forget()

    def _forget(self) -> None:
        self._values: dict[Node, Interned] = {node: Interned() for node in self._order}
        self._tables: dict[Node, tuple[tuple[int, ...], Ids]] = {}
        self._rows: dict[Node, dict[tuple[int, ...], int]] = {node: {} for node in self._order}
        self._selecting = Selecting(self._values, causal=self.causal)

    def compute(self, texts: Ids) -> Computed:
        """The values of all nodes on some texts.

        Args:
            texts: places in the vocabulary, [text, position].

        Raises:
            Exception: any error that `interpret` raises on one of the texts, except for broken
                assumptions.
        """
        if any(len(values) > KEPT_UP_TO for values in self._values.values()):
            self._forget()
        codes: dict[Node, Ids] = {}
        selects: dict[Aggregate, Flags] = {}
        defined = np.full(len(texts), texts.shape[1])
        for node in self._order:
            found = self._codes(node, texts, codes, defined, selects)
            found = np.broadcast_to(found, (len(found), texts.shape[1]))
            codes[node] = found
            missing = found == UNDEFINED
            if missing.any():
                first = np.where(missing.any(axis=1), missing.argmax(axis=1), texts.shape[1])
                first = np.broadcast_to(first, defined.shape)
                if isinstance(node, Assumed):
                    if not self.causal:
                        first = np.where(first < texts.shape[1], 0, first)
                    np.minimum(defined, first, out=defined)
                elif (first < defined).any():  # a hole in a table, say: the plain oracle says what
                    text = texts[int((first < defined).argmax())]
                    interpret(self.nodes, [self.tokens[i] for i in text], causal=self.causal)
        return Computed(codes, self._values, defined, selects)

    def _codes(
        self,
        node: Node,
        texts: Ids,
        codes: dict[Node, Ids],
        defined: Ids,
        selects: dict[Aggregate, Flags],
    ) -> Ids:
        """The codes of one node, given those of its children; of an aggregate also where it selects."""
        values = self._values[node]
        match node:
            case Embedded(of="token"):
                return values_of(values, self.tokens)[texts]
            case Embedded():
                return values_of(values, range(texts.shape[1]))[None]
            case Constant():
                return np.full((1, texts.shape[1]), values.code(node.value))
            case Aggregate():
                found, selects[node] = self._selecting.aggregate(node, codes, texts.shape[1])
                return self._one_by_one(node, texts, defined) if found is None else found
            case Linear():
                found = self._linear(node, codes)
                return self._by_table(node, codes) if found is None else found
        if isinstance(node, POINTWISE):
            return self._by_table(node, codes)
        return self._one_by_one(node, texts, defined)

    def _linear(self, node: Linear, codes: dict[Node, Ids]) -> Ids | None:
        """A weighted sum on whole numbers; None if it may overflow int64."""
        numbers = [self._values[child].scaled for child in node.children]
        scaled = [number for number in numbers if number is not None]
        if len(scaled) < len(numbers):
            return None
        factors = [
            Fraction(factor) / n.below for (factor, _), n in zip(node.terms, scaled, strict=True)
        ]
        below = lcm(*(number.denominator for number in (*factors, Fraction(node.constant))))
        steps = [int(factor * below) for factor in factors]
        start = int(node.constant * below)
        most = sum(abs(step) * number.most for step, number in zip(steps, scaled, strict=True))
        if max(most + abs(start), below, *map(abs, steps)) >= LARGEST:
            return None
        total: Ids = np.full((1, 1), start)
        missing = np.zeros((1, 1), dtype=bool)
        for (_, child), step, number in zip(node.terms, steps, scaled, strict=True):
            total = total + (number.tops * step)[codes[child]]
            missing = missing | (codes[child] == UNDEFINED)
        return np.where(missing, UNDEFINED, self._values[node].numbers(total, below))

    def _by_table(self, node: Node, codes: dict[Node, Ids]) -> Ids:
        """A function of values at the same position."""
        children = node.children
        rooms = tuple(self._values[child].room for child in children)
        columns = [codes[child] for child in children]
        size = prod(rooms)
        if size > TABLE_UP_TO:
            return self._by_rows(node, columns)
        known = self._tables.get(node)
        if known is None or known[0] != rooms:
            known = self._tables[node] = (rooms, np.full(size, -1))
        table = known[1]
        key: Ids = np.zeros((1, 1), dtype=np.int64)
        for column, room in zip(columns, rooms, strict=True):
            key = key * room + column
        found = table[key]
        missing = found < 0
        if missing.any():
            for each in np.unique(key[missing]).tolist():
                table[each] = self._computed(
                    node, [int(code) for code in np.unravel_index(each, rooms)]
                )
            found = table[key]
        return found

    def _by_rows(self, node: Node, columns: Sequence[Ids]) -> Ids:
        """The same, where a table would be too large: only the rows that occur are kept."""
        shape = np.broadcast_shapes(*(column.shape for column in columns))
        flat = [np.broadcast_to(column, shape).reshape(-1) for column in columns]
        key = np.zeros(prod(shape), dtype=np.int64)
        for column in flat:  # rows are numbered again with each column, so that keys fit int64
            _, key = np.unique(key * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
            key = key.reshape(-1)
        _, first, key = np.unique(key, return_index=True, return_inverse=True)
        kept = self._rows[node]
        if len(kept) > KEPT_UP_TO:
            kept.clear()
        answers = []
        for row in zip(*(column[first].tolist() for column in flat), strict=True):
            if row not in kept:
                kept[row] = self._computed(node, row)
            answers.append(kept[row])
        return np.array(answers, dtype=np.int64)[key.reshape(shape)]

    def _computed(self, node: Node, row: Sequence[int]) -> int:
        """The code of what the plain oracle makes of the values with these codes."""
        if UNDEFINED in row:
            return UNDEFINED
        values = [
            self._values[child].values[code] for child, code in zip(node.children, row, strict=True)
        ]
        try:
            value = compute(node, values)
        except KeyError:  # a table lacks a row, which only a broken assumption reaches
            return UNDEFINED
        if isinstance(node, Assumed) and value not in node.domain:
            return UNDEFINED
        return self._values[node].code(value)

    def _one_by_one(self, node: Node, texts: Ids, defined: Ids) -> Ids:
        """The values that the plain oracle gives on each text, as far as the text has values."""
        found = np.full(texts.shape, UNDEFINED)
        for row, length in enumerate(defined.tolist()):
            if length:
                tokens = [self.tokens[token] for token in texts[row, :length].tolist()]
                (values,) = interpret([node], tokens, causal=self.causal)
                found[row, :length] = [self._values[node].code(value) for value in values]
        return found


def values_of(values: Interned, known: Sequence[Value]) -> Ids:
    """The codes of some values, in order: [value]."""
    return np.array([values.code(value) for value in known], dtype=np.int64)
