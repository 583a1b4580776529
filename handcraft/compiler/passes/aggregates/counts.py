"""Counts: the number of matching sources, computed from the attention weight of position 0.

Softmax always sums to 1, so attention shows which sources match, but not how many. Position 0 has a
mark, whose mean is the attention weight of position 0. By soft attention one head is enough
(`soft_counts.py`). By hard attention that weight is 1/c if position 0 is selected. If it is not,
another head has slack for the conditions that it fails, and its weight is 1/(c + 1). Conditions with a
constant query need no mark: c/n is the fraction of matching sources among all n visible ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, product

import numpy as np

from handcraft.compiler.deep_calls import Call, finish, result_of
from handcraft.compiler.passes.aggregates.begun_counts import begun_count
from handcraft.compiler.passes.aggregates.head_outputs import HeadOutputs
from handcraft.compiler.passes.aggregates.soft_counts import Point, base_for, points
from handcraft.compiler.passes.cases import (
    STRICT,
    Setting,
    allowed,
    has_constant_query,
    is_positional,
    pairs_match,
    simplified,
    split,
)
from handcraft.compiler.passes.ir import StepFunction, Threshold, between
from handcraft.language.graph.domain import Finite, Kind, Plain, Value, as_number, finite, kind_of
from handcraft.language.graph.node import (
    Aggregate,
    Case,
    Comparison,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Match,
    Node,
    walk,
)
from handcraft.language.graph.source_counts import Flags, selects_itself
from handcraft.language.graph.wording import enclosed, reads
from handcraft.limits import CONDITIONS

TOGETHER_UP_TO = 64
"""Up to this context, one step function reads the sum of the attention weights of position 0."""

Terms = list[tuple[Plain, Node]]
"""Factors and nodes that are added up to a count."""


def count(of: Aggregate, cases: Sequence[Case], setting: Setting) -> Node:
    """The number of matching sources: the sum over disjoint cases.

    Raises:
        LimitError: orders of pairs make too many cases.
    """
    for case in cases:
        orders = sum(split(match) is not None for match in case)  # each makes two cases of one
        CONDITIONS.check(
            len(case) << orders,
            where=of.origin,
            fix="compare fewer sums of two values in one selection",
        )
    counting = _Counting(HeadOutputs(of, setting))
    terms = [term for case in cases for term in finish(counting.case(case))]
    if len(terms) == 1 and isinstance(terms[0][1], StepFunction | Lookup) and terms[0][0] == 1:
        return terms[0][1]
    return Linear(of.domain, of.text, tuple(terms), 0, place=of.place)


def takes_sink(case: Case, setting: Setting) -> bool:
    """Whether a count takes a sink where values become flags: one equality, over many positions."""
    return (
        setting.in_bits
        and setting.context > TOGETHER_UP_TO
        and len(case) == 1
        and case[0].relation is Comparison.EQ
        and all(isinstance(node.domain, Finite) for node in (case[0].key, case[0].query))
        and case[0].key.domain.kind is not Kind.FLAG
    )


def has_count(nodes: Sequence[Node], setting: Setting) -> bool:
    """Whether some count takes a sink."""
    return any(
        takes_sink(case, replace(setting, in_bits=True))
        for node in walk(*nodes)
        if isinstance(node, Aggregate) and node.how == "count"
        for case in node.sources.cases
    )


def _other_value(values: Sequence[Value]) -> Value:
    """A value of the same kind that is none of these."""
    if kind_of(values[0]) is Kind.NUMBER:
        return int(max(map(as_number, values))) + 1
    found = "none"
    while found in values:
        found += "_"
    return found


@dataclass(frozen=True)
class _Gate:
    """A flag without which a step function reaches no threshold; None for no such flag."""

    flag: Node | None

    def terms(self, most: int) -> Terms:
        """The terms that are added to a sum of at most `most`."""
        return [] if self.flag is None else [(2 * most, self.flag)]

    def raised(self, most: int) -> int:
        """The amount by which thresholds grow."""
        return 0 if self.flag is None else 2 * most


@dataclass(frozen=True)
class _Matches:
    """The attention weight that shows whether position 0 matches.

    Args:
        weight: of position 0.
        below: the largest weight if the position does not match.
        above: the smallest weight if it does.
    """

    weight: Node
    below: Fraction
    above: Fraction


def _exactly(weight: Fraction, count: int) -> Point:
    return Point(weight, weight, count)


@dataclass(frozen=True)
class _Counting:
    outputs: HeadOutputs

    @property
    def setting(self) -> Setting:
        return self.outputs.setting

    def case(self, case: Case) -> Call[Terms]:
        """The count of one case."""
        if self.setting.rotary:
            return self._in_rotary(case)
        for i, match in enumerate(case):
            rest = (*case[:i], *case[i + 1 :])
            found = yield from result_of(self._in_parts(match, rest))
            found = found or (yield from result_of(self._inverted(match, rest)))
            if found is not None:
                return found
        placed = tuple(m for m in case if is_positional(m))
        others = tuple(m for m in case if not is_positional(m))
        flags = allowed(placed, self.setting)
        if not others:
            return self._by_position(placed, flags)
        if not placed and all(map(has_constant_query, others)):
            return [(1, self._by_fraction(others))]
        before = yield from result_of(self._before(placed, others))
        if before is None and not placed and takes_sink(others, self.setting):
            return self._by_sink(*others)
        return before or self._marked(placed, others, flags)

    def _in_rotary(self, case: Case) -> Terms:
        """The count in a rotary model, whose begin token takes the place of position 0."""
        placed = tuple(m for m in case if is_positional(m))
        others = tuple(m for m in case if not is_positional(m))
        flags = allowed(placed, self.setting)
        if not others:
            return self._by_position(placed, flags)
        return begun_count(self.outputs, placed, others, flags)

    def _in_parts(self, match: Match, rest: Case) -> Call[Terms | None]:
        """A lexicographic order: the first part is less, or equal and then the second decides."""
        parts = split(match)
        if parts is None:
            return None
        cases = [simplified((*rest, *part), self.setting) for part in parts]
        terms: Terms = []
        for case in cases:
            if case is not None:
                terms += yield from result_of(self.case(case))
        return terms

    def _inverted(self, match: Match, rest: Case) -> Call[Terms | None]:
        """A strict comparison: all sources minus those of its opposite, which always selects itself."""
        strict = match.key == match.query and match.relation in STRICT
        if not strict or is_positional(match):
            return None
        assert isinstance(match.relation, Comparison)
        _, opposite = STRICT[match.relation]
        turned = simplified((*rest, replace(match, relation=opposite)), self.setting)
        if turned is None or not selects_itself(turned):
            return None
        every = yield from result_of(self.case(rest))
        left_out = yield from result_of(self.case(turned))
        return [*every, *((-factor, node) for factor, node in left_out)]

    def _by_position(self, placed: Case, flags: Flags) -> Terms:
        """A count that depends only on positions: a table, or the attention weight of position 0."""
        seen = flags & self.setting.visible
        if bool(np.triu(seen, 1).any()):
            return self._marked(placed, (), flags)
        of = self.outputs.of
        table: dict[tuple[Value, ...], Value] = {
            (i,): int(seen[i].sum()) for i in range(self.setting.context)
        }
        domain = finite(table.values())
        return [(1, Lookup(domain, of.text, (self.setting.position,), table, place=of.place))]

    def _by_fraction(self, others: Case) -> Node:
        """Count c of n visible sources: c >= t if c/n - (t - 1/2)/n is not negative."""
        n, of = self.setting.context, self.outputs.of
        weight = self.outputs.fraction((), self.outputs.matches(others))
        one = self.outputs.fraction((), self.outputs.is_first())
        half = Fraction(1, 2 * n)
        at_least, gap = between(-half, half)
        thresholds = tuple(
            Threshold(((1, weight), (Fraction(1, 2) - t, one)), at_least, gap) for t in range(1, n + 1)
        )
        return StepFunction(
            finite(range(n + 1)), of.text, thresholds, tuple(range(n + 1)), place=of.place
        )

    def _by_sink(self, match: Match) -> Terms:
        """Count later sources by the weight of position 0, which has no key but counts as a match.

        If c of them match, its attention weight is 1/(c + 1). Another head compares the key of position
        0 itself.
        """
        outputs, of, n = self.outputs, self.outputs.of, self.setting.context
        first = outputs.is_first()
        keys = _values(match.key)
        absent = _other_value((*keys, *_values(match.query)))
        table: dict[tuple[Value, ...], Value] = {
            (key, is_first): absent if is_first else key
            for key, is_first in product(keys, (False, True))
        }
        text = reads(enclosed(match.key, 8), " after position 0")
        domain = finite((*keys, absent))
        later = Lookup(domain, text, (match.key, first), table, place=of.place)
        case = (Match(later, match.query, Comparison.EQ),)
        weight = replace(outputs.fraction(case, first), sunk=True)
        start = Match(self.setting.position, Constant(finite([0]), reads("0"), 0), Comparison.EQ)
        own = outputs.moved((start,), match.key, "latest", unique=True)
        points_of = [_exactly(Fraction(1, c + 1), c) for c in reversed(range(n))]
        later_count = self._step_function([weight], points_of, _Gate(None), sure=True)
        matches = outputs.equal(own, match.query, reads(of, " at position 0"))
        total: dict[tuple[Value, ...], Value] = {
            (c, is_match): c + is_match for c, is_match in product(range(n), (False, True))
        }
        both = (later_count, matches)
        possible = {row: c for row, c in total.items() if c in of.domain}
        return [(1, Lookup(of.domain, of.text, both, possible, place=of.place))]

    def _before(self, placed: Case, others: Case) -> Call[Terms | None]:
        """Sources before this position: those up to it, minus 1 for itself, if it always matches."""
        if len(placed) != 1 or not selects_itself(others):
            return None
        (match,) = placed
        itself = match.key == match.query and isinstance(match.key, Embedded)
        if not itself or match.relation not in STRICT:
            return None
        assert isinstance(match.relation, Comparison)
        wider, _ = STRICT[match.relation]
        full = simplified((*others, replace(match, relation=wider)), self.setting)
        assert full is not None
        return [*(yield from result_of(self.case(full))), (-1, Constant(finite([1]), reads("1"), 1))]

    def _marked(self, placed: Case, others: Case, flags: Flags) -> Terms:
        """Count by the attention weight of position 0, with slack for all conditions it may fail.

        Positional conditions are widened to include position 0, and its count is then subtracted.
        """
        outputs = self.outputs
        sure = selects_itself((*others, *placed)) or (
            not others and bool(np.tril(flags).any(axis=1).all())
        )
        gate = _Gate(None if sure else outputs.exists((*others, *placed)))
        case = (*others, *self._with_first(placed, flags))
        soft = self._softly(case, len(others), gate, sure=sure)
        if soft is None:
            first = outputs.is_first()
            weights = [outputs.fraction(case, first, slack) for slack in range(len(others) + 1)]
            step_functions = self._step_functions(weights, gate, sure=sure)
            matches = _Matches(weights[0], Fraction(0), Fraction(1, self.setting.context))
        else:
            step_functions, matches = [soft[0]], soft[1]
        terms: Terms = [(1, step_function) for step_function in step_functions]
        outside = [not flag for flag in flags[:, 0].tolist()]
        if any(outside):
            beyond = outputs.at_positions(outside, reads("position 0 is not a source"))
            terms.append((-1, self._too_much(matches, beyond, gate)))
        return terms

    def _softly(
        self, case: Case, conditions: int, gate: _Gate, *, sure: bool
    ) -> tuple[StepFunction, _Matches] | None:
        """The count by one head of soft attention; None if hard attention is needed."""
        base = base_for(self.setting.context, conditions) if self.setting.soft and conditions else 0
        if not base:
            return None
        weight = self.outputs.fraction(case, self.outputs.is_first(), conditions, base)
        found = points(self.setting.context, conditions, base)
        step_function = self._step_function([weight], found, gate, sure=sure)
        gap = min((threshold.gap for threshold in step_function.thresholds), default=1)
        if 1 + gate.raised(1) > gap * self.setting.steps:
            return None
        matches = found[-self.setting.context].low  # if all positions are sources
        fails = max((point.high for point in found[: -self.setting.context]), default=Fraction(0))
        return step_function, _Matches(weight, fails, matches)

    def _with_first(self, placed: Case, flags: Flags) -> Case:
        """Positional conditions, widened to include position 0."""
        wider = flags.copy()
        wider[:, 0] = True
        if bool((wider | ~self.setting.visible).all()):
            return ()
        return placed if bool((wider == flags).all()) else (pairs_match(wider, self.setting),)

    def _too_much(self, matches: _Matches, beyond: Node, gate: _Gate) -> StepFunction:
        """1 where position 0 meets all conditions except the positional ones."""
        at_least, gap = between(1 + matches.below, 1 + matches.above)
        terms = ((1, matches.weight), (1, beyond), *gate.terms(1))
        threshold = Threshold(terms, at_least + gate.raised(1), gap)
        of = self.outputs.of
        return StepFunction(finite([0, 1]), of.text, (threshold,), (0, 1), place=of.place)

    def _step_functions(
        self, weights: Sequence[Node], gate: _Gate, *, sure: bool
    ) -> list[StepFunction]:
        """From the attention weights of position 0 to the count c.

        There is one head for each amount of slack. If position 0 fails f conditions, its weight is 0
        with less slack than f, 1 with more, and with slack f it is 1/c if f is 0, else 1/(c + 1). So
        the sum of all these weights determines f and c. In long texts float32 does not distinguish
        such sums: then each weight has a step function of its own, and only one of these is not 0.
        """
        n = self.setting.context
        selected = [_exactly(Fraction(1, c), c) for c in range(n, 0, -1)]
        slack = [_exactly(Fraction(1, c + 1), c) for c in range(n - 1, 0, -1)]
        last = len(weights) - 1
        if n <= TOGETHER_UP_TO and 2 * n * (n + 1) * len(weights) <= self.setting.steps:
            sums = [_exactly(last - f + x, c) for f in range(last, 0, -1) for x, _, c in slack]
            sums += [_exactly(last + x, c) for x, _, c in selected]
            return [self._step_function(weights, sums, gate, sure=sure)]
        rest = [*slack, _exactly(Fraction(1), 0)]
        return [
            self._step_function(weights[:1], selected, gate),
            *(self._step_function([weight], rest, gate) for weight in weights[1:]),
        ]

    def _step_function(
        self,
        weights: Sequence[Node],
        points: Sequence[Point],
        gate: _Gate,
        *,
        sure: bool = False,
    ) -> StepFunction:
        """The count for each sum of weights; 0 below the first unless `sure`, or without the gate."""
        terms = (*((1, weight) for weight in weights), *gate.terms(len(weights)))
        known = points if sure else [_exactly(Fraction(0), 0), *points]
        thresholds: list[Threshold] = []
        for before, point in pairwise(known):
            at_least, gap = between(before.high, point.low)
            thresholds.append(Threshold(terms, at_least + gate.raised(len(weights)), gap))
        values = tuple(point.matching for point in known)
        of = self.outputs.of
        return StepFunction(finite(set(values)), of.text, tuple(thresholds), values, place=of.place)


def _values(node: Node) -> tuple[Value, ...]:
    assert isinstance(node.domain, Finite)
    return node.domain.values
