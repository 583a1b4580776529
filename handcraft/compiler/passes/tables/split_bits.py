"""Split values with large domains into flags, one for each bit of their index in the domain.

A flag of a value that a head moves costs that head one more number, and a flag of a table is a table
of flags. So a table of a thousand rows that gives words becomes ten that give flags, and each of those
is a step or two where the rows are of two kinds only. What is read from a token, a position or a head
is left as it is: any function of those costs one dimension, and no neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import ceil, isqrt, log2

from handcraft.compiler.deep_calls import Call, finish, result_of
from handcraft.compiler.features.precision import ADDED_EXACTLY
from handcraft.compiler.features.scores.score_terms import nearest
from handcraft.compiler.passes.children import with_children
from handcraft.compiler.passes.ir import Attend, Equal, StepFunction
from handcraft.compiler.passes.tables.guarded import is_equality
from handcraft.language.graph.domain import FLAGS, Finite, Kind, Value, finite
from handcraft.language.graph.node import (
    Assumed,
    Case,
    Choice,
    Comparison,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Match,
    Node,
    walk,
)
from handcraft.language.graph.wording import Wording, reads

MANY = 4
"""Values with a larger domain than this become flags."""

Test = Callable[[Value], bool]


def width_of(size: int) -> int:
    """How many bits distinguish so many values."""
    return max(1, ceil(log2(size)))


def is_readable(node: Node) -> bool:
    """Whether any function of a value takes no neurons, as of a token or of what a head moved."""
    while True:
        match node:
            case Attend(picks="latest" | "earliest") | Assumed():
                node = node.value
            case Lookup(arguments=(argument,)):
                node = argument
            case _:
                return isinstance(node, Embedded | Constant | StepFunction)


class Splitting:
    """Makes flags of values; each flag is made once, for all its readers.

    Args:
        roots: the nodes to compute.
        most: how many values one sum may compare; of more, equality is that of all their digits.
        exact: whether a query that equals no key must match none, not even in its bits.
    """

    def __init__(
        self, roots: Sequence[Node], most: int = ADDED_EXACTLY, *, exact: bool = False
    ) -> None:
        self._most = most
        self._exact = exact
        self._kept: dict[Node, Node] = {}
        self._flags: dict[tuple[Node, frozenset[Value]], Node] = {}
        for node in walk(*roots):
            self._kept[node] = self._rebuilt(node)

    def kept(self, node: Node) -> Node:
        """The same value over children that were split."""
        return self._kept[node]

    def bits(self, node: Node, places: Mapping[Value, int], width: int) -> list[Node]:
        """A flag for each bit of the place of a value, the highest first.

        Args:
            node: with a finite domain.
            places: the place of each of its values.
            width: how many bits.
        """
        return finish(self._bits(node, places, width))

    def flag(self, node: Node, test: Test) -> Node:
        """A flag that says of a value whether it passes a test.

        Args:
            node: with a finite domain.
            test: of its values.
        """
        return finish(self._tested(node, test))

    def _bits(self, node: Node, places: Mapping[Value, int], width: int) -> Call[list[Node]]:
        found = []
        for k in reversed(range(width)):
            found.append((yield from result_of(self._tested(node, _has_bit(places, k)))))
        return found

    def _tested(self, node: Node, test: Test) -> Call[Node]:
        passing = frozenset(v for v in _values(node) if test(v))
        if (node, passing) not in self._flags:
            self._flags[node, passing] = yield from result_of(self._flag(node, passing))
        return self._flags[node, passing]

    def _flag(self, node: Node, passing: frozenset[Value]) -> Call[Node]:
        if not passing or len(passing) == len(_values(node)):
            return Constant(finite([bool(passing)]), reads(node), bool(passing), place=node.place)
        match node:
            case Attend() if node.picks != "mean":
                value = yield from result_of(self._tested(node.value, passing.__contains__))
                kept = self._kept[node]
                assert isinstance(kept, Attend)
                return replace(kept, domain=FLAGS, value=value)
            case Assumed():
                return (yield from result_of(self._tested(node.value, passing.__contains__)))
            case Choice() if _is_listed(node):
                yes = yield from result_of(self._tested(node.yes, passing.__contains__))
                no = yield from result_of(self._tested(node.no, passing.__contains__))
                return self._chosen(node, yes, no)
            case Lookup():
                table = {row: value in passing for row, value in node.table.items()}
                return (yield from result_of(self._table(node, node.arguments, table)))
        kept = self._kept[node]
        if kept.domain == FLAGS and passing == {True}:
            return kept
        rows: dict[tuple[Value, ...], Value] = {(v,): v in passing for v in _values(kept)}
        return Lookup(FLAGS, reads(node), (kept,), rows, place=node.place)

    def _chosen(self, node: Choice, yes: Node, no: Node) -> Lookup:
        """One of two flags, by a third."""
        rows: dict[tuple[Value, ...], Value] = {
            (row, one, other): one if row else other
            for row, one, other in product((False, True), repeat=3)
        }
        return Lookup(FLAGS, node.text, (self._kept[node.condition], yes, no), rows, place=node.place)

    def _table(
        self, of: Lookup, arguments: Sequence[Node], table: Mapping[tuple[Value, ...], bool]
    ) -> Call[Node]:
        """A table of flags, over flags in place of the arguments that have many values."""
        if len(arguments) == 1 and isinstance(arguments[0], Attend | Assumed | Choice | Lookup):
            asked = self._tested(arguments[0], lambda value: table.get((value,), False))
            return (yield from result_of(asked))
        made: list[Node] = []
        shown: list[Mapping[Value, tuple[Value, ...]]] = []
        for i, argument in enumerate(arguments):
            nodes, values = yield from result_of(self._read(argument, _classes(table, i)))
            made += nodes
            shown.append(values)
        rows: dict[tuple[Value, ...], Value] = {}
        for row, found in table.items():
            key = tuple(v for each, value in zip(shown, row, strict=True) for v in each[value])
            rows[key] = found
        return Lookup(FLAGS, of.text, tuple(made), rows, place=of.place)

    def _read(
        self, argument: Node, classes: Mapping[Value, int]
    ) -> Call[tuple[list[Node], Mapping[Value, tuple[Value, ...]]]]:
        """What is read in place of an argument of a table, and how each of its values reads there."""
        count = len(set(classes.values()))
        if len(classes) <= 2 or (count > 2 and is_readable(argument)):
            return [self._kept[argument]], {value: (value,) for value in classes}
        width = width_of(count) if count > 1 else 0
        flags = yield from result_of(self._bits(argument, classes, width))
        return flags, {
            value: tuple(bool(number >> k & 1) for k in reversed(range(width)))
            for value, number in classes.items()
        }

    def _rebuilt(self, node: Node) -> Node:
        """The node over children that were split; conditions on many values as those on flags."""
        if isinstance(node, Equal):
            return self._equal(node)
        if isinstance(node, Lookup) and _compares_many(node):
            equal = self._equal(Equal(FLAGS, node.text, *node.arguments, place=node.place))
            truths: dict[tuple[Value, ...], Value] = {
                (holds,): holds is is_equality(node) for holds in (False, True)
            }
            return Lookup(FLAGS, node.text, (equal,), truths, place=node.place)
        if isinstance(node, StepFunction) and (fraction := _is_above_none(node)) is not None:
            return self._any(node, fraction.value)
        if isinstance(node, Choice) and _is_listed(node):
            places = {value: i for i, value in enumerate(_values(node))}
            number = self._number(node, places, node.text)
            rows: dict[tuple[Value, ...], Value] = {(i,): value for value, i in places.items()}
            return Lookup(node.domain, node.text, (number,), rows, place=node.place)
        if isinstance(node, Attend):
            case = tuple(part for match in node.case for part in self._match(match))
            return replace(node, case=case, value=self._kept[node.value])
        return with_children(node, self._kept)

    def _any(self, node: StepFunction, flag: Node) -> Node:
        """Whether a flag holds at any source: it does at the latest of those where it holds, if at any.

        What a head moves from one source is a flag; the mean of several is not.
        """
        kept = self._kept[flag]
        true = Constant(finite([True]), reads("True"), True)
        wanted = Match(kept, true, Comparison.EQ)
        return Attend(FLAGS, node.text, (wanted,), kept, "latest", place=node.place)

    def _equal(self, node: Equal) -> Node:
        """An equality of numbers; where those would be too large, of their digits one by one."""
        places = {v: i for i, v in enumerate(dict.fromkeys([*_values(node.one), *_values(node.other)]))}
        if is_readable(node.one) and is_readable(node.other) and len(places) <= self._most:
            return replace(node, one=self._kept[node.one], other=self._kept[node.other])
        base = len(places)
        while base > self._most:
            base = isqrt(base - 1) + 1
        base = 1 << width_of(base)
        found: list[Node] = []
        for shift in range(0, width_of(len(places)), width_of(base)):
            digits = {v: i >> shift & base - 1 for v, i in places.items()}
            one, other = (self._number(each, digits, node.text) for each in (node.one, node.other))
            found.append(replace(node, one=one, other=other))
        if len(found) == 1:
            return found[0]
        rows: dict[tuple[Value, ...], Value] = {
            row: all(row) for row in product((False, True), repeat=len(found))
        }
        return Lookup(FLAGS, node.text, tuple(found), rows, place=node.place)

    def _number(self, node: Node, places: Mapping[Value, int], text: Wording) -> Linear:
        """The place of a value as a sum of its bits."""
        width = width_of(max(places.values()) + 1)
        flags = self.bits(node, places, width)
        terms = tuple((1 << k, flag) for k, flag in zip(reversed(range(width)), flags, strict=True))
        return Linear(finite(range(1 << width)), text, terms, 0, place=node.place)

    def _match(self, match: Match) -> Case:
        """A condition as conditions on flags, where an equality reads a table of many values."""
        kept = Match(self._kept[match.key], self._kept[match.query], match.relation)
        if match.relation is not Comparison.EQ or _size(match.key) <= MANY:
            return (kept,)
        if is_readable(match.key) and is_readable(match.query):
            return (kept,)
        keys = _values(match.key)
        places = {v: i for i, v in enumerate(keys)}
        asked = {v: places[v] if v in places else nearest(v, keys) for v in _values(match.query)}
        width = width_of(len(keys))
        both = zip(
            self.bits(match.key, places, width), self.bits(match.query, asked, width), strict=True
        )
        found = [Match(key, query, Comparison.EQ) for key, query in both]
        if self._exact and any(value not in places for value in _values(match.query)):
            true = Constant(finite([True]), reads("True"), True)
            found.append(Match(true, self.flag(match.query, places.__contains__), Comparison.EQ))
        return tuple(found)


def _is_listed(node: Choice) -> bool:
    """Whether it is one of two values that are no numbers along a line."""
    return isinstance(node.yes.domain, Finite) and isinstance(node.no.domain, Finite)


def _compares_many(node: Lookup) -> bool:
    """Whether a table says where two values of many kinds are equal, or where they are not."""
    if len(node.arguments) != 2 or _size(node.arguments[0]) <= MANY:
        return False
    return is_equality(node) or is_equality(node, negated=True)


def _is_above_none(step_function: StepFunction) -> Attend | None:
    """The fraction of all sources at which a flag holds, where the threshold is whether it is above 0.

    A fraction of some sources only is left: where the flag holds at none of those, a head could pick
    another at which it holds.
    """
    if len(step_function.thresholds) != 1 or step_function.values != (False, True):
        return None
    (threshold,) = step_function.thresholds
    if len(threshold.terms) != 1:
        return None
    factor, term = threshold.terms[0]
    if (
        factor != 1
        or not isinstance(term, Attend)
        or term.picks != "mean"
        or term.slack
        or term.base
        or term.sunk
        or term.case
    ):
        return None
    parts = term.domain.parts if term.value.domain.kind is Kind.FLAG else 0
    return term if 0 < threshold.at_least * parts <= 1 else None


def _classes(table: Mapping[tuple[Value, ...], bool], i: int) -> dict[Value, int]:
    """For each value of an argument a number: those that always give the same have the same."""
    columns: dict[Value, dict[tuple[Value, ...], bool]] = {}
    for row, found in table.items():
        columns.setdefault(row[i], {})[row[:i] + row[i + 1 :]] = found
    known: dict[frozenset[tuple[tuple[Value, ...], bool]], int] = {}
    return {v: known.setdefault(frozenset(c.items()), len(known)) for v, c in columns.items()}


def _has_bit(places: Mapping[Value, int], k: int) -> Test:
    """Whether the place of a value has a bit; a value that no row of a table has never occurs."""
    return lambda value: bool(places.get(value, 0) >> k & 1)


def _values(node: Node) -> tuple[Value, ...]:
    assert isinstance(node.domain, Finite)
    return node.domain.values


def _size(node: Node) -> int:
    return len(node.domain.values) if isinstance(node.domain, Finite) else 0
