"""Tables that depend on a value only where two others are equal: one sum, with no table of all three.

`where(key == query, value, default)` is a step function of

    place of value + (number of values) * (key - query)

Where key and query are equal the sum is the place of the value; where they are not it lies beyond the
first or the last place, and both ends have the default. That takes as many steps as the value has
values, however many key and query have. Several equalities add up as the digits of a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.ir import Equal, StepFunction, Threshold, between, is_scalar
from handcraft.language.graph.domain import Finite, Kind, Plain, Value, as_number, finite, magnitude
from handcraft.language.graph.node import Constant, Lookup, Node
from handcraft.language.graph.reachable import combinations
from handcraft.language.graph.wording import reads

Pair = tuple[Node, Node]
"""Two nodes that are compared."""


@dataclass(frozen=True)
class Guarded:
    """A table that has one value wherever a pair differs, and otherwise depends on a single node.

    Args:
        pairs: what must be equal.
        value: what it depends on then.
        inside: what it is then, for each value of that node.
        outside: what it is otherwise.
    """

    pairs: tuple[Pair, ...]
    value: Node
    inside: Mapping[Value, Value]
    outside: Value


def guarded(node: Lookup) -> Guarded | None:
    """The table as one that is guarded by equalities, where it is such a table."""
    if len(node.arguments) != 2:
        return None
    for is_first, (flag, value) in ((True, node.arguments), (False, node.arguments[::-1])):
        pairs = equalities(flag)
        if pairs is None or not isinstance(value.domain, Finite):
            continue
        rows = {row if is_first else row[::-1]: found for row, found in node.table.items()}
        outside = {found for (is_equal, _), found in rows.items() if not is_equal}
        inside = {of: found for (is_equal, of), found in rows.items() if is_equal}
        if len(outside) == 1 and len(inside) == len(value.domain.values):
            return Guarded(tuple(pairs), value, inside, outside.pop())
    return None


def equalities(flag: Node) -> list[Pair] | None:
    """The pairs that are equal exactly where a flag is true; None if no two values are compared.

    Other flags that must be true are compared with true.
    """
    alone: list[Node] = []
    pairs: dict[Pair, None] = {}
    seen: set[Node] = set()
    waiting = [flag]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(node, Equal):
            pairs[node.one, node.other] = None
            continue
        if node.domain.kind is not Kind.FLAG:
            return None
        if _is_conjunction(node):
            waiting += reversed(node.children)
        elif isinstance(node, Lookup) and is_equality(node):
            one, other = node.arguments
            pairs[one, other] = None
        else:
            alone.append(node)
    if not pairs:
        return None
    true = Constant(finite([True]), reads("True"), True)
    return [*((node, true) for node in alone), *pairs]  # flags take the small weights


def _is_conjunction(node: Node) -> bool:
    """Whether a table is true where several flags are all true."""
    if not isinstance(node, Lookup) or len(node.arguments) < 2:
        return False
    if any(argument.domain.kind is not Kind.FLAG for argument in node.arguments):
        return False
    return all(found == all(row) for row, found in node.table.items())


def is_equality(node: Lookup, *, negated: bool = False) -> bool:
    """Whether a table says where two values are equal; or where they are not."""
    return len(node.arguments) == 2 and all(
        found == ((a == b) is not negated) for (a, b), found in node.table.items()
    )


def equality_ladder(node: Equal, done: Mapping[Node, Node]) -> StepFunction:
    """Two steps along a difference: it reaches 0, and it reaches the next number.

    Args:
        node: the equality.
        done: what became of the nodes below.

    Raises:
        CompileError: a value has too many values to list.
    """
    one, other = done[node.one], done[node.other]
    numbers = _common(one, other)
    assert numbers is not None
    terms = ((1, _numbered(one, numbers.at, node)), (-1, _numbered(other, numbers.at, node)))
    thresholds = tuple(Threshold(terms, *between(at - numbers.step, at)) for at in (0, numbers.step))
    return StepFunction(node.domain, node.text, thresholds, (False, True, False), place=node.place)


def guarded_ladder(
    node: Lookup, found: Guarded, done: Mapping[Node, Node], setting: Setting
) -> StepFunction | None:
    """Its steps; None where their sum would be too large, or a pair is never equal.

    Args:
        node: the table.
        found: the same, as what it depends on.
        done: what became of the nodes below.
        setting: how much larger than its gap a sum may be.
    """
    places = _places(done[found.value], found)
    ordered = sorted(places, key=places.__getitem__)
    low, high = places[ordered[0]], places[ordered[-1]]
    terms: list[tuple[Plain, Node]] = [(1, _numbered(done[found.value], places, node))]
    step = min((places[b] - places[a] for a, b in pairwise(ordered)), default=1)
    beyond = high - low + step
    largest = max(magnitude(low), magnitude(high))
    for pair in found.pairs:
        one, other = (done.get(each, each) for each in pair)
        numbers = _common(one, other)
        if numbers is None or not _are_ever_equal(one, other):
            return None
        weight = Fraction(beyond) / numbers.step
        if setting.in_powers:
            weight = Fraction(1 << (ceil(weight) - 1).bit_length())
        terms += [
            (weight, _numbered(one, numbers.at, node)),
            (-weight, _numbered(other, numbers.at, node)),
        ]
        largest += weight * numbers.most
        beyond += weight * numbers.range
    if largest > setting.steps * step:
        return None
    values = [found.outside, *(found.inside[value] for value in ordered), found.outside]
    edges = [low - step, *(places[value] for value in ordered), high + step]
    thresholds = tuple(
        Threshold(tuple(terms), *between(below, above))
        for (below, above), (before, after) in zip(pairwise(edges), pairwise(values), strict=True)
        if before != after
    )
    kept = [values[0], *(after for before, after in pairwise(values) if before != after)]
    return StepFunction(finite(kept), node.text, thresholds, tuple(kept), place=node.place)


def _are_ever_equal(one: Node, other: Node) -> bool:
    reached = combinations((one, other))
    return reached is None or any(a == b for a, b in reached)


@dataclass(frozen=True)
class _Numbers:
    """Numbers by which two nodes are compared.

    Args:
        at: the number of each value.
        step: the smallest difference of two.
        range: the largest difference of two.
        most: no sum of the absolute numbers of both is larger.
    """

    at: Mapping[Value, Plain]
    step: Plain
    range: Plain
    most: Plain


def _common(one: Node, other: Node) -> _Numbers | None:
    """A number for each value of both; the values themselves where a node is a number only."""
    values = list(dict.fromkeys([*_values(one), *_values(other)]))
    if is_scalar(one) or is_scalar(other) or all(_is_whole(v) for v in values):
        at: dict[Value, Plain] = {v: as_number(v) for v in values}
    else:
        at = {v: i for i, v in enumerate(values)}
    numbers = sorted(at.values())
    if len(numbers) < 2:
        return None
    step = min(b - a for a, b in pairwise(numbers))
    most = max(magnitude(numbers[0]), magnitude(numbers[-1]))
    return _Numbers(at, step, numbers[-1] - numbers[0], 2 * most)


def _places(node: Node, found: Guarded) -> dict[Value, Plain]:
    """A number for each value: the value itself of a number, else values of the default first."""
    if is_scalar(node):
        return {v: as_number(v) for v in _values(node)}
    first = sorted(_values(node), key=lambda v: found.inside[v] != found.outside)
    return {v: i for i, v in enumerate(first)}


def _numbered(node: Node, at: Mapping[Value, Plain], of: Node) -> Node:
    """A number for each value of a node."""
    own = {v: at[v] for v in _values(node)}
    if all(v == number and not isinstance(v, bool) for v, number in own.items()):
        return node
    table: dict[tuple[Value, ...], Value] = {(value,): number for value, number in own.items()}
    return Lookup(finite(table.values()), reads(node, " in ", of), (node,), table, place=of.place)


def _is_whole(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _values(node: Node) -> Sequence[Value]:
    assert isinstance(node.domain, Finite)
    return node.domain.values
