"""What a program means on many texts at once, of which some tokens may be undecided.

A node has a set of values that it may have, mostly one. Each set that occurs at a node has a number,
and arrays store the numbers. `UNKNOWN` stands in a set for any value, and None for a text that is not
allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.by_cases.states import combinations, distinct
from handcraft_check.program.interpret import COMPARED, is_allowed
from handcraft_check.program.nodes import Match, Node, Value, common_denominator, plain
from handcraft_check.program.sets import UNKNOWN, VALUES_UP_TO, Set, Sets, is_one

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NO, YES, MAYBE = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The values at the last position of some texts.

    Args:
        numbers: for each node, the number of its set: [row]; only of nodes that are needed.
        blame: for each aggregate that may have several values, the source that must be decided first,
            -1 for none: [row].
        own: for each aggregate, where it may read its own position: [row].
    """

    numbers: dict[int, Ids]
    blame: dict[int, Ids]
    own: dict[int, Flags]


class Evaluator:
    """Computes nodes at one position after the other.

    Args:
        nodes: each reads only earlier ones.
        roots: the nodes whose values are wanted.
        tokens: the vocabulary.
        most: a set with more values is `UNKNOWN`.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        roots: Iterable[int],
        tokens: Sequence[str],
        most: int = VALUES_UP_TO,
    ) -> None:
        self.nodes, self.tokens, self.most = nodes, tokens, most
        self.sets = [Sets(most) for _ in nodes]
        roots = set(roots)
        self.needed = needed_by(nodes, roots)
        self.crossing = sorted({read for i in self.needed for read in nodes[i].elsewhere})
        self.checked = [i for i in self.needed if _can_break(nodes[i])]
        self.everywhere = set(needed_by(nodes, self.crossing))
        self.users = _users(nodes, self.needed, roots)
        self.orders = any(nodes[i].how in ("latest", "earliest") for i in self.needed)

    @property
    def crossing_sets(self) -> dict[int, list[Set]]:
        """Those of nodes that are read at later positions, in the order of their numbers."""
        return {node: list(self.sets[node].listed) for node in self.crossing}

    @crossing_sets.setter
    def crossing_sets(self, known: Mapping[int, Iterable[Set]]) -> None:
        self.sets = [Sets(self.most) for _ in self.nodes]
        for node, listed in known.items():
            for values in listed:
                self.sets[node].number(values)

    def evaluate(
        self, tokens: Ids, position: int, sources: Mapping[int, Ids], is_open: Flags
    ) -> Evaluated:
        """The values at one position.

        Args:
            tokens: the token there, a place in the vocabulary: [row].
            position: which position that is.
            sources: for each node of `crossing`, its sets at all earlier positions: [row, source].
            is_open: which earlier positions have alternatives: [row, source].
        """
        numbers: dict[int, Ids] = {}
        blame: dict[int, Ids] = {}
        own: dict[int, Flags] = {}
        count = len(tokens)
        for number in self.needed:
            node, sets = self.nodes[number], self.sets[number]
            if node.op == "token":
                each = np.array([sets.number((token,)) for token in self.tokens])
                numbers[number] = each[tokens]
            elif node.op in ("position", "constant") or (node.op == "sum" and not node.of):
                value = {"position": position, "constant": node.value}.get(node.op, node.number)
                numbers[number] = np.full(count, sets.number((value,)))
            elif node.op == "aggregate":
                found = self._aggregate(node, numbers, sources, is_open, number)
                numbers[number], blame[number], own[number] = found
            else:
                numbers[number] = self.pointwise(node, numbers, sets)
        return Evaluated(numbers, blame, own)

    def broken(self, number: int, numbers: Ids, is_context: Flags) -> Flags:
        """Where a node may have no value, so that the text is not allowed: [row].

        A node that is read at the last position only has one where the text is a context.
        """
        is_aggregate = self.nodes[number].op == "aggregate"
        found = self.flags(number, numbers, lambda v: None in v or (UNKNOWN in v and not is_aggregate))
        return found if number in self.everywhere else found & is_context

    def flags(self, number: int, numbers: Ids, test: Callable[[Set], bool]) -> Flags:
        """What holds of the sets of a node: [row]."""
        return np.asarray(self.sets[number].flags(test)[numbers])

    def pointwise(self, node: Node, numbers: Mapping[int, Ids], sets: Sets) -> Ids:
        """The sets of a node that reads others at its own position: [row]."""
        if node.op == "sum" and len(node.of) > 1:
            return self._sum(node, numbers, sets)
        first, places = combinations(*(numbers[each] for each in node.of))
        listed = []
        for row in zip(*(numbers[each][first].tolist() for each in node.of), strict=True):
            given = [self.sets[each].listed[code] for each, code in zip(node.of, row, strict=True)]
            listed.append(sets.number(results_of(node, given)))
        return np.array(listed, dtype=np.int64)[places]

    def _sum(self, node: Node, numbers: Mapping[int, Ids], sets: Sets) -> Ids:
        """A sum, term by term, so that few combinations occur at a time."""
        partial = Sets(self.most)
        total = np.full(len(numbers[node.of[0]]), partial.number((node.number,)))
        for i, (each, factor) in enumerate(zip(node.of, node.factors, strict=True)):
            after = sets if i == len(node.of) - 1 else Sets(self.most)
            first, places = combinations(total, numbers[each])
            listed = []
            for one, other in zip(total[first].tolist(), numbers[each][first].tolist(), strict=True):
                given = [partial.listed[one], self.sets[each].listed[other]]
                listed.append(
                    after.number(_combined(given, lambda a, b, f=factor: plain(a + f * _number(b))))
                )
            total, partial = np.array(listed, dtype=np.int64)[places], after
        return total

    def _aggregate(
        self,
        node: Node,
        numbers: Mapping[int, Ids],
        sources: Mapping[int, Ids],
        is_open: Flags,
        number: int,
    ) -> tuple[Ids, Ids, Flags]:
        """The sets of an aggregate, the source that decides between them, where its own may be read.

        A source of which all that the aggregate reads has one value is not decided for it.
        """
        sets = self.sets[number]
        every = {read: np.column_stack([sources[read], numbers[read]]) for read in node.elsewhere}
        count, length = len(is_open), is_open.shape[1] + 1
        several = np.zeros((count, length), dtype=bool)
        for read, each in every.items():
            several |= ~self.sets[read].single[each]
        can_decide = np.column_stack([is_open, np.zeros((count, 1), dtype=bool)]) & several
        chosen = np.zeros((count, length), dtype=np.int8)
        for case in node.cases:
            fits = np.full((count, length), YES, dtype=np.int8)
            for match in case:
                table = self._matches(match)
                holds = table[every[match.key], numbers[match.query][:, None]]
                fits = np.where((fits == NO) | (holds == NO), NO, np.maximum(fits, holds))
            chosen = np.where((chosen == YES) | (fits == YES), YES, np.maximum(chosen, fits)).astype(
                np.int8
            )
        surely, perhaps = chosen == YES, chosen == MAYBE
        first = _first(perhaps & can_decide)
        if node.how == "exists":
            kinds = np.where(surely.any(axis=1), 0, np.where(perhaps.any(axis=1), 1, 2))
            each = np.array([sets.number(v) for v in ((True,), (True, False), (False,))])
            return each[kinds], np.where(kinds == 1, first, -1), perhaps[:, -1]
        if node.how == "count":
            low, more = surely.sum(axis=1), perhaps.sum(axis=1)
            rows, places = combinations(low, more)
            pairs = zip(low[rows].tolist(), more[rows].tolist(), strict=True)
            each = np.array([sets.number(range(least, least + n + 1)) for least, n in pairs])
            return each[places], first, perhaps[:, -1]
        assert node.read is not None
        values = every[node.read]
        is_single = self.sets[node.read].single[values]
        if node.how == "mean":
            mean = self._mean(node, sets, values, surely, perhaps, is_single, can_decide)
            return *mean, chosen[:, -1] != NO
        return self._one_source(node, sets, values, surely, perhaps, can_decide)

    def _matches(self, match: Match) -> npt.NDArray[np.int8]:
        """Whether a condition holds of sets of a key and a query: [key, query]."""
        keys, queries = self.sets[match.key].listed, self.sets[match.query].listed
        if isinstance(match.relation, str):
            compared = COMPARED[match.relation]

            def holds(key: Any, query: Any) -> bool:
                return bool(compared(key, query))
        else:
            pairs = match.relation

            def holds(key: Any, query: Any) -> bool:
                return (key, query) in pairs

        table = np.empty((len(keys), len(queries)), dtype=np.int8)
        for i, key in enumerate(keys):
            for j, query in enumerate(queries):
                if UNKNOWN in key | query or None in key | query:
                    table[i, j] = MAYBE
                    continue
                found = {holds(a, b) for a in key for b in query}
                table[i, j] = MAYBE if len(found) == 2 else int(found.pop())
        return table

    def _one_source(
        self, node: Node, sets: Sets, values: Ids, surely: Flags, perhaps: Flags, can_decide: Flags
    ) -> tuple[Ids, Ids, Flags]:
        """The value at the latest or earliest source."""
        assert node.read is not None
        length = values.shape[1]
        order = slice(None, None, -1) if node.how == "latest" else slice(None)
        sure, may, codes = surely[:, order], perhaps[:, order], values[:, order]
        last = np.where(
            sure.any(axis=1), sure.argmax(axis=1), length
        )  # in order; behind it nothing counts
        may = may & (np.arange(length) < last[:, None])
        is_last = np.arange(length) == last[:, None]
        doubtful = _first((may | is_last) & can_decide[:, order])
        own = (may | is_last)[:, order][:, -1]
        there = np.minimum(last, length - 1)[:, None]
        width = len(self.sets[node.read].listed)
        found = np.where(last < length, np.take_along_axis(codes, there, axis=1)[:, 0], width)
        keys = np.where(may, codes, -1)
        first, places = combinations(found, *(column + 1 for column in keys.T if column.max() >= 0))
        listed = []
        for one, others in zip(found[first].tolist(), keys[first].tolist(), strict=True):
            several: set[Any] = (
                {node.default} if one == width else set(self.sets[node.read].listed[one])
            )
            for code in set(others) - {-1}:
                several |= self.sets[node.read].listed[code]
            listed.append(sets.number(several))
        numbers = np.array(listed, dtype=np.int64)[places]
        if node.how == "latest":
            doubtful = np.where(doubtful >= 0, length - 1 - doubtful, -1)
        return numbers, np.where(sets.single[numbers], -1, doubtful), own

    def _mean(
        self,
        node: Node,
        sets: Sets,
        values: Ids,
        surely: Flags,
        perhaps: Flags,
        is_single: Flags,
        can_decide: Flags,
    ) -> tuple[Ids, Ids]:
        """The mean over the sources; unknown where a source or its value is not decided."""
        assert node.read is not None
        open_ = perhaps | (surely & ~is_single)
        listed = self.sets[node.read].listed
        numbers = [_number(next(iter(v))) if is_one(v) else 0 for v in listed]
        below = common_denominator(numbers)
        tops = np.array([int(n * below) for n in numbers], dtype=object)
        if max(map(abs, tops.tolist()), default=0) * values.shape[1] < 1 << 62:
            tops = tops.astype(np.int64)
        sums = np.where(surely, tops[values], 0).sum(axis=1)
        counts = surely.sum(axis=1)
        has_open = np.asarray(open_.any(axis=1))
        first, places = distinct(sums, counts, has_open.astype(np.int64))
        found = []
        for row in first.tolist():
            total, count = int(sums[row]), int(counts[row])
            value = plain(Fraction(total, below * count)) if count else node.default
            several = (UNKNOWN,) if count or node.default is not None else (UNKNOWN, None)
            found.append(sets.number(several if has_open[row] else (value,)))
        return np.array(found, dtype=np.int64)[places], _first(open_ & can_decide)


def _first(flags: Flags) -> Ids:
    """The first place of each row that is set, -1 where none is: [row]."""
    return (
        np.where(flags.any(axis=1), flags.argmax(axis=1), -1)
        if flags.shape[1]
        else np.full(len(flags), -1)
    )


def _can_break(node: Node) -> bool:
    """Whether a node may have no value although those that it reads have one."""
    has_default = node.how in ("count", "exists") or node.default is not None
    return {
        "assumed": True,
        "table": node.rest is None,
        "aggregate": not has_default,
    }.get(node.op, False)


def needed_by(nodes: Sequence[Node], roots: Iterable[int]) -> list[int]:
    """What must be computed, in order: what the roots read, and all assumptions."""
    found: set[int] = set()
    stack = [*roots, *(i for i, node in enumerate(nodes) if node.op == "assumed")]
    while stack:
        number = stack.pop()
        if number not in found:
            found.add(number)
            stack += nodes[number].here | nodes[number].elsewhere
    return sorted(found)


def _users(nodes: Sequence[Node], needed: Iterable[int], roots: set[int]) -> dict[int, set[int | None]]:
    """The nodes of one argument that read each node; None among them where something else does."""
    found: dict[int, set[int | None]] = {i: {None} if i in roots else set() for i in needed}
    for number in needed:
        node = nodes[number]
        is_function = node.op in ("table", "at_least") and len(node.of) == 1
        for read in node.here | node.elsewhere:
            found[read].add(number if is_function else None)
    return found


def results_of(node: Node, given: Sequence[Set]) -> Iterable[Any]:
    """What a node may be, given the sets of those that it reads at its own position."""
    return _combined(given, lambda *row: value_of(node, row))


def _combined(given: Sequence[Set], function: Callable[..., Any]) -> Iterable[Any]:
    """What a function gives of all combinations of values; None if one of them is not allowed."""
    if any(UNKNOWN in values for values in given) or prod(map(len, given)) > VALUES_UP_TO**2:
        return (UNKNOWN,)
    return [None if None in row else function(*row) for row in product(*given)]


def value_of(node: Node, row: Sequence[Value]) -> Value | None:
    """The value of a node given those that it reads; None where the text is not allowed."""
    match node.op:
        case "table":
            assert node.rows is not None
            return node.rows.get(tuple(row), node.rest)
        case "sum":
            return plain(
                node.number + sum(f * _number(v) for f, v in zip(node.factors, row, strict=True))
            )
        case "at_least":
            return _number(row[0]) >= node.number
        case "choice":
            return row[1] if row[0] else row[2]
    return row[0] if is_allowed(node, row[0]) else None


def _number(value: Value) -> int | Fraction:
    """A number; flags count as 0 and 1."""
    assert not isinstance(value, str)
    return int(value) if isinstance(value, bool) else value
