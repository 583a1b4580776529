"""Periodic step functions of a sum: reduce the sum to its first period, to save thresholds.

The bits of a remainder are such functions. As functions of the sum of two numbers below m, they change
twice as often as within one period. The reduced sum is the sum minus m if it reaches m. This takes one
more block, whose neurons are thresholds on whether the sum reaches the start of each later period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from handcraft.compiler.passes.children import with_children
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import StepFunction, Threshold, between
from handcraft.language.graph.domain import FLAGS, Finite, Plain, Value, as_number, finite
from handcraft.language.graph.node import Lookup, Node, walk
from handcraft.language.graph.wording import reads

SUMS_UP_TO = 1024
"""The most values of a sum for which a period is searched, because every length is tried."""

LEAST_SAVED = 16
"""A period is used only if it saves this many thresholds, because it costs one more block."""

Terms = tuple[tuple[Plain, Node], ...]


def in_one_period(roots: Sequence[Node]) -> list[Node]:
    """The same values, with periodic step functions of a sum reduced to its first period."""
    by_terms: dict[Terms, list[StepFunction]] = {}
    for node in walk(*roots):
        if isinstance(node, StepFunction) and len({each.terms for each in node.thresholds}) == 1:
            by_terms.setdefault(node.thresholds[0].terms, []).append(node)
    found: dict[Node, _Period] = {}
    for terms, functions in by_terms.items():
        period = _find_period(terms, functions)
        found |= dict.fromkeys(functions, period) if period else {}
    done: dict[Node, Node] = {}
    for node in walk(*roots):
        made = with_children(node, done)
        if node in found:
            assert isinstance(made, StepFunction)
            made = found[node].first_of(made)
        done[node] = made
    return rebuild([done[root] for root in roots])


@dataclass(frozen=True)
class _Period:
    """The period of step functions of a sum.

    Args:
        low: the least that the sum can be; the first period starts there.
        high: the most.
        length: of a period.
    """

    low: int
    high: int
    length: int

    @property
    def starts(self) -> range:
        """The first sum of every period but the first."""
        return range(self.low + self.length, self.high + 1, self.length)

    def first_of(self, node: StepFunction) -> StepFunction:
        """A periodic step function, as a function of the sum reduced to its first period."""
        values = _values_of(node, range(self.low, self.low + self.length))
        changes = [(a, b) for a, b in pairwise(values) if values[a] != values[b]]
        terms = (*node.thresholds[0].terms, *((1, self._back(node, start)) for start in self.starts))
        thresholds = tuple(Threshold(terms, *between(*change)) for change in changes)
        kept = (values[self.low], *(values[b] for _, b in changes))
        return StepFunction(node.domain, node.text, thresholds, kept, place=node.place)

    def _back(self, node: StepFunction, start: int) -> Node:
        """Minus the length of a period if the sum reaches the start of one, else 0."""
        threshold = Threshold(node.thresholds[0].terms, *between(start - 1, start))
        text = reads(node.text, f" from {start} on")
        reached = StepFunction(FLAGS, text, (threshold,), (False, True), place=node.place)
        table: dict[tuple[Value, ...], Value] = {(False,): 0, (True,): -self.length}
        return Lookup(finite(table.values()), text, (reached,), table, place=node.place)


def _find_period(terms: Terms, functions: Sequence[StepFunction]) -> _Period | None:
    """The period that saves most thresholds; None if it saves too few."""
    sums = _sums_of(terms)
    if sums is None:
        return None
    values = [_values_of(node, sums) for node in functions]
    together = [tuple(each[at] for each in values) for at in sums]
    changes = [sum(x != y for x, y in zip(*pair, strict=True)) for pair in pairwise(together)]
    best, least = None, sum(changes) - LEAST_SAVED
    for length in range(1, len(sums)):
        period = _Period(sums[0], sums[-1], length)
        thresholds = len(period.starts) + sum(changes[: length - 1])
        if thresholds <= least and together[length:] == together[:-length]:
            best, least = period, thresholds - 1
    return best


def _values_of(node: StepFunction, sums: range) -> Mapping[int, Value]:
    """The value at each sum."""
    edges = [each.at_least for each in node.thresholds]
    return {at: node.values[sum(at >= edge for edge in edges)] for at in sums}


def _sums_of(terms: Terms) -> range | None:
    """All values of a sum; None if they are not all whole numbers of a range, or are too many."""
    sums = {0}
    for factor, node in terms:
        if not isinstance(node.domain, Finite):
            return None
        parts = {factor * as_number(value) for value in node.domain.values}
        if any(part != int(part) for part in parts) or len(sums) * len(parts) > SUMS_UP_TO**2:
            return None
        sums = {one + int(part) for one in sums for part in parts}
        if len(sums) > SUMS_UP_TO:
            return None
    found = range(min(sums), max(sums) + 1)
    return found if len(found) == len(sums) else None
