"""The value of every node on many texts at once, exact.

The values that occur at a node have codes, and arrays store the codes: [text, position], with one row
where a value depends on the position only. A function is computed once for each combination of values
that occurs. Nodes that are read at the last position only are computed there only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.program.nodes import Match, Node, Value, check_size, common_denominator, plain

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Column:
    """The values of a node.

    Args:
        codes: [text, position], or with an axis of 1 where they do not depend on it.
        values: what each code stands for; code 0 is None, for texts that are not allowed.
    """

    codes: Ids
    values: Sequence[Value | None]

    @classmethod
    def of(cls, keys: Ids, values: Iterable[Value | None]) -> Column:
        """From keys, and the value of each key, among which some may be equal."""
        known: dict[Value | None, int] = {None: 0}
        codes = []
        for value in values:
            if isinstance(value, int | Fraction):
                check_size(value, "a number that is computed")
            codes.append(known.setdefault(value, len(known)))
        return cls(np.array(codes, dtype=np.int64)[keys], list(known))

    def at_end(self) -> Column:
        """The same at the last position only."""
        return Column(self.codes[:, -1:], self.values)

    @property
    def numbers(self) -> list[int | Fraction]:
        """The values as numbers, flags as 0 and 1; None as 0."""
        return [_number(value) for value in self.values]


class Interpreter:
    """Computes all nodes on some texts.

    Args:
        nodes: each reads only earlier ones.
        roots: the nodes whose values are wanted at the last position.
        tokens: the vocabulary.
        causal: whether a position sees only itself and earlier ones.
    """

    def __init__(
        self, nodes: Sequence[Node], roots: Sequence[int], tokens: Sequence[str], *, causal: bool
    ) -> None:
        self.nodes, self.roots, self.tokens, self.causal = nodes, roots, tokens, causal
        self.everywhere, self.last_reader = _readers(nodes, roots)
        if not causal:  # every position of a text is wanted
            self.everywhere = [True] * len(nodes)

    def compute(self, texts: Ids) -> tuple[dict[int, Column], Flags]:
        """The values of the roots at the last position, and which texts are not allowed: [text].

        Without a causal mask the values at every position.
        """
        known: dict[int, Column] = {}
        broken: Flags = np.zeros(len(texts), dtype=bool)
        for number, node in enumerate(self.nodes):
            if self.last_reader[number] < 0:
                continue
            column = known[number] = self._column(number, node, known, texts)
            broken |= (column.codes == 0).any(axis=1)
            for read in node.here | node.elsewhere:
                if self.last_reader[read] == number:
                    del known[read]
        if not self.causal:
            return {root: known[root] for root in self.roots}, broken
        return {root: known[root].at_end() for root in self.roots}, broken

    def _column(self, number: int, node: Node, known: dict[int, Column], texts: Ids) -> Column:
        length, is_everywhere = texts.shape[1], self.everywhere[number]
        match node.op:
            case "token":
                return Column((texts if is_everywhere else texts[:, -1:]) + 1, [None, *self.tokens])
            case "position":
                places = np.arange(length) if is_everywhere else np.array([length - 1])
                return Column.of(places[None] - places[0], places.tolist())
            case "constant":
                return Column(np.ones((1, 1), dtype=np.int64), [None, node.value])
            case "aggregate":
                return self._aggregate(node, known, length, is_everywhere=is_everywhere)
        columns = [known[each] if is_everywhere else known[each].at_end() for each in node.of]
        if node.op == "sum":
            total = Column(np.ones((1, 1), dtype=np.int64), [None, node.number])
            for column, factor in zip(columns, node.factors, strict=True):
                keys, pairs = _joined([total, column])
                total = Column.of(keys, [_added(pair, factor) for pair in pairs])
            return total
        keys, rows = _joined(columns)
        return Column.of(keys, [None if None in row else _pointwise(node, row) for row in rows])

    def _aggregate(
        self, node: Node, known: dict[int, Column], length: int, *, is_everywhere: bool
    ) -> Column:
        mask: Any = np.zeros((1, 1, length), dtype=bool)  # [text, destination, source]
        for case in node.cases:
            fits: Flags = np.ones((1, 1, length), dtype=bool)
            for match in case:
                query = known[match.query]
                query = query if is_everywhere else query.at_end()
                fits = fits & _holds(match, known[match.key], query)
            mask = mask | fits
        if is_everywhere:
            seen: Flags = np.ones((length, length), dtype=bool)
            mask = np.asarray(mask & (np.tril(seen) if self.causal else seen))
        if node.how == "count":
            return Column.of(mask.sum(axis=2), range(length + 1))
        some: Flags = mask.any(axis=2)
        if node.how == "exists":
            return Column.of(some.astype(np.int64), [False, True])
        assert node.read is not None
        column = known[node.read]
        found = _mean(mask, column) if node.how == "mean" else _at(mask, column, node.how)
        # key 0 stands for the default, where nothing is selected
        return Column.of(np.where(some, found.codes + 1, 0), [node.default, *found.values])


def _readers(nodes: Sequence[Node], roots: Sequence[int]) -> tuple[list[bool], list[int]]:
    """Which nodes are read at other positions, and the last reader of each; -1 where nothing reads it.

    Assumptions are read everywhere: a text is not allowed where a position before its end breaks one.
    """
    everywhere = [node.op == "assumed" for node in nodes]
    last = [len(nodes) if node.op == "assumed" else -1 for node in nodes]
    for root in roots:
        last[root] = len(nodes)
    for number in reversed(range(len(nodes))):
        if last[number] < 0:
            continue
        for read in nodes[number].elsewhere:
            everywhere[read] = True
        for read in nodes[number].here:
            everywhere[read] = everywhere[read] or everywhere[number]
        for read in nodes[number].here | nodes[number].elsewhere:
            last[read] = max(last[read], number)
    return everywhere, last


def _pointwise(node: Node, row: Sequence[Value]) -> Value | None:
    """The value of a node given those that it reads; None where the text is not allowed."""
    match node.op:
        case "table":
            assert node.rows is not None
            return node.rows.get(tuple(row), node.rest)
        case "at_least":
            return _number(row[0]) >= node.number
        case "choice":
            return row[1] if row[0] else row[2]
    return row[0] if is_allowed(node, row[0]) else None


def is_allowed(node: Node, value: Value) -> bool:
    """Whether an assumption allows a value."""
    if isinstance(node.allowed, frozenset):
        return value in node.allowed
    low, high, unit, parts = node.allowed
    number = _number(value)
    return low <= number <= high and (Fraction(number) / unit).denominator <= parts


def _number(value: Value | None) -> int | Fraction:
    if value is None or isinstance(value, str):  # text that is not allowed; labels are not read so
        return 0
    return int(value) if isinstance(value, bool) else value


def _added(pair: Sequence[Value | None], factor: int | Fraction) -> Value | None:
    if None in pair:
        return None
    return plain(_number(pair[0]) + factor * _number(pair[1]))


def _joined(columns: Sequence[Column]) -> tuple[Ids, list[tuple[Any, ...]]]:
    """The combinations of values that occur, and which of them is where: [text, position]."""
    keys, rows = columns[0].codes, [(value,) for value in columns[0].values]
    for column in columns[1:]:
        width = len(column.values)
        distinct, keys = _distinct(keys * width + column.codes, len(rows) * width)
        rows = [(*rows[key // width], column.values[key % width]) for key in distinct.tolist()]
    return keys, rows


def _distinct(keys: Ids, size: int) -> tuple[Ids, Ids]:
    """The keys that occur, in order, and the place of each among them. All are below `size`."""
    if size > 4 * keys.size + 1024:
        distinct, places = np.unique(keys, return_inverse=True)
        return distinct, places.reshape(keys.shape)
    occurs = np.zeros(size, dtype=bool)
    occurs[keys] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[keys]


def _holds(match: Match, keys: Column, queries: Column) -> Flags:
    """Whether a condition is true: [text, destination, source]."""
    sources, destinations = keys.codes[:, None, :], queries.codes[:, :, None]
    if isinstance(match.relation, str):
        known: dict[Value | None, None] = dict.fromkeys([*keys.values, *queries.values])
        known.pop(None)
        ordered: list[Any] = list(known)
        if match.relation not in ("==", "!="):
            ordered.sort()
        ranks = {value: rank for rank, value in enumerate(ordered)}
        key_ranks = np.array([ranks.get(value, -1) for value in keys.values])
        query_ranks = np.array([ranks.get(value, -1) for value in queries.values])
        found = COMPARED[match.relation](key_ranks[sources], query_ranks[destinations])
        return np.asarray(found, dtype=bool)
    places = [{value: i for i, value in enumerate(column.values)} for column in (keys, queries)]
    table = np.zeros((len(keys.values), len(queries.values)), dtype=bool)
    for key, query in match.relation:
        if key in places[0] and query in places[1]:
            table[places[0][key], places[1][query]] = True
    return np.asarray(table[sources, destinations])


def _at(mask: Flags, column: Column, how: str) -> Column:
    """The value at the latest or the earliest source of each destination; any where there is none."""
    if how == "latest":
        which = mask.shape[2] - 1 - mask[:, :, ::-1].argmax(axis=2)  # [text, destination]
    else:
        which = mask.argmax(axis=2)
    codes = np.broadcast_to(column.codes, (len(column.codes), mask.shape[2]))
    if len(which) == 1:
        return Column(codes[:, which[0]], column.values)
    codes = np.broadcast_to(codes, (len(which), mask.shape[2]))
    return Column(np.take_along_axis(codes, which, axis=1), column.values)


def _mean(mask: Flags, column: Column) -> Column:
    """The mean over the sources of each destination; any where there is none."""
    numbers = column.numbers
    below = common_denominator(numbers)
    tops = [int(number * below) for number in numbers]
    is_small = max(map(abs, tops)) * (mask.shape[2] + 1) < 1 << 62
    table = np.array(tops, dtype=np.int64 if is_small else object)
    sums = np.where(mask, table[column.codes][:, None, :], 0).sum(axis=2)  # [text, destination]
    distinct, keys = np.unique(sums, return_inverse=True)
    keys = np.asarray(keys.reshape(sums.shape), dtype=np.int64)
    counts = np.broadcast_to(mask.sum(axis=2), sums.shape)
    pairs, places = _distinct(keys * (mask.shape[2] + 1) + counts, len(distinct) * (mask.shape[2] + 1))
    means: list[Value | None] = []
    for pair in pairs.tolist():
        top, count = distinct[pair // (mask.shape[2] + 1)], pair % (mask.shape[2] + 1)
        means.append(plain(Fraction(int(top), below * max(count, 1))))
    return Column.of(places, means)
