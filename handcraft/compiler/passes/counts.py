"""Counts: how many sources fit, told by the share of position 0.

Softmax always sums to 1, so a head can say which sources fit, not how many. Position 0 carries a mark.
By soft attention one head is enough (`soft_share.py`). Where attention must be hard, the share of
position 0 is 1/c if it is selected. If it is not, another head has slack for the conditions that it
fails, and its share is 1/(c + 1). Conditions that ask the same everywhere need no mark: of all visible
sources the share that fits is c/n, and 1/n is known too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from handcraft.compiler.deep_calls import Call, finish, result_of
from handcraft.compiler.passes.cases import (
    STRICT,
    Flags,
    Setting,
    allowed,
    asks_nothing,
    holds_of_itself,
    is_positional,
    pairs_match,
    simplified,
    split,
)
from handcraft.compiler.passes.ir import StepFunction, Threshold, between
from handcraft.compiler.passes.learning import Learning
from handcraft.compiler.passes.soft_share import Point, base_for, points
from handcraft.language.graph.domain import Plain, Value, finite
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
)
from handcraft.language.graph.wording import reads
from handcraft.limits import CONDITIONS

TOGETHER_UP_TO = 64
"""Up to so many positions the shares of position 0 are added up and read by one step function."""

Terms = list[tuple[Plain, Node]]
"""Factors and nodes that are added up to a count."""


def count(of: Aggregate, cases: Sequence[Case], setting: Setting) -> Node:
    """How many sources fit: the sum over disjoint cases.

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
    counting = _Counting(Learning(of, setting))
    terms = [term for case in cases for term in finish(counting.case(case))]
    if len(terms) == 1 and isinstance(terms[0][1], StepFunction) and terms[0][0] == 1:
        return terms[0][1]
    return Linear(of.domain, of.text, tuple(terms), 0, place=of.place)


@dataclass(frozen=True)
class _Gate:
    """A flag without which a step function stays on the ground; None for no such flag."""

    flag: Node | None

    def terms(self, most: int) -> Terms:
        """What is added to a sum of at most `most`."""
        return [] if self.flag is None else [(2 * most, self.flag)]

    def raised(self, most: int) -> int:
        """By how much thresholds grow."""
        return 0 if self.flag is None else 2 * most


@dataclass(frozen=True)
class _Fits:
    """How a share tells that position 0 fits.

    Args:
        share: of position 0.
        below: it is no larger where the position does not fit.
        above: it is no smaller where it does.
    """

    share: Node
    below: Fraction
    above: Fraction


def _exactly(share: Fraction, count: int) -> Point:
    return Point(share, share, count)


@dataclass(frozen=True)
class _Counting:
    learning: Learning

    @property
    def setting(self) -> Setting:
        return self.learning.setting

    def case(self, case: Case) -> Call[Terms]:
        """The count of one case."""
        for i, match in enumerate(case):
            rest = (*case[:i], *case[i + 1 :])
            found = yield from result_of(self._in_parts(match, rest))
            found = found or (yield from result_of(self._turned(match, rest)))
            if found is not None:
                return found
        placed = tuple(m for m in case if is_positional(m))
        others = tuple(m for m in case if not is_positional(m))
        flags = allowed(placed, self.setting)
        if not others:
            return self._by_position(placed, flags)
        if not placed and all(map(asks_nothing, others)):
            return [(1, self._by_share(others))]
        before = yield from result_of(self._before(placed, others))
        return before or self._marked(placed, others, flags)

    def _in_parts(self, match: Match, rest: Case) -> Call[Terms | None]:
        """An order of pairs: those whose first part is less, and those that tie there."""
        parts = split(match)
        if parts is None:
            return None
        cases = [simplified((*rest, *part), self.setting) for part in parts]
        terms: Terms = []
        for case in cases:
            if case is not None:
                terms += yield from result_of(self.case(case))
        return terms

    def _turned(self, match: Match, rest: Case) -> Call[Terms | None]:
        """What is strictly less is all but what is not less, where a position always counts itself."""
        strict = match.key == match.query and match.relation in STRICT
        if not strict or is_positional(match):
            return None
        assert isinstance(match.relation, Comparison)
        _, opposite = STRICT[match.relation]
        turned = simplified((*rest, replace(match, relation=opposite)), self.setting)
        if turned is None or not holds_of_itself(turned):
            return None
        every = yield from result_of(self.case(rest))
        left_out = yield from result_of(self.case(turned))
        return [*every, *((-factor, node) for factor, node in left_out)]

    def _by_position(self, placed: Case, flags: Flags) -> Terms:
        """Where positions decide alone: a table of the position, or the share of position 0."""
        seen = flags & self.setting.visible
        if bool(np.triu(seen, 1).any()):
            return self._marked(placed, (), flags)
        of = self.learning.of
        table: dict[tuple[Value, ...], Value] = {
            (i,): int(seen[i].sum()) for i in range(self.setting.context)
        }
        domain = finite(table.values())
        return [(1, Lookup(domain, of.text, (self.setting.position,), table, place=of.place))]

    def _by_share(self, others: Case) -> Node:
        """Count c of n visible sources: c >= t where c/n - (t - 1/2)/n is not negative."""
        n, of = self.setting.context, self.learning.of
        share = self.learning.share((), self.learning.fits(others))
        one = self.learning.share((), self.learning.first())
        half = Fraction(1, 2 * n)
        at_least, gap = between(-half, half)
        thresholds = tuple(
            Threshold(((1, share), (Fraction(1, 2) - t, one)), at_least, gap) for t in range(1, n + 1)
        )
        return StepFunction(
            finite(range(n + 1)), of.text, thresholds, tuple(range(n + 1)), place=of.place
        )

    def _before(self, placed: Case, others: Case) -> Call[Terms | None]:
        """Sources before this position: those up to it, less itself, where it surely is one."""
        if len(placed) != 1 or not holds_of_itself(others):
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
        """Count by the share of position 0, with slack for as many failures as it may have.

        Positional conditions are made to hold of position 0, and what that counts too much is taken
        off.
        """
        learning = self.learning
        sure = holds_of_itself((*others, *placed)) or (
            not others and bool(np.tril(flags).any(axis=1).all())
        )
        gate = _Gate(None if sure else learning.exists((*others, *placed)))
        case = (*others, *self._with_first(placed, flags))
        soft = self._softly(case, len(others), gate, sure=sure)
        if soft is None:
            first = learning.first()
            shares = [learning.share(case, first, slack) for slack in range(len(others) + 1)]
            step_functions = self._step_functions(shares, gate, sure=sure)
            fits = _Fits(shares[0], Fraction(0), Fraction(1, self.setting.context))
        else:
            step_functions, fits = [soft[0]], soft[1]
        terms: Terms = [(1, step_function) for step_function in step_functions]
        outside = [not flag for flag in flags[:, 0].tolist()]
        if any(outside):
            beyond = learning.at_positions(outside, reads("position 0 is no source"))
            terms.append((-1, self._too_much(fits, beyond, gate)))
        return terms

    def _softly(
        self, case: Case, conditions: int, gate: _Gate, *, sure: bool
    ) -> tuple[StepFunction, _Fits] | None:
        """The count by one head of soft attention; None where hard attention is better."""
        base = base_for(self.setting.context, conditions) if self.setting.soft and conditions else 0
        if not base:
            return None
        share = self.learning.share(case, self.learning.first(), conditions, base)
        found = points(self.setting.context, conditions, base)
        step_function = self._step_function([share], found, gate, sure=sure)
        gap = min((threshold.gap for threshold in step_function.thresholds), default=1)
        if 1 + gate.raised(1) > gap * self.setting.steps:
            return None
        fits = found[-self.setting.context].low  # of a text that is full of sources
        fails = max((point.high for point in found[: -self.setting.context]), default=Fraction(0))
        return step_function, _Fits(share, fails, fits)

    def _with_first(self, placed: Case, flags: Flags) -> Case:
        """Positional conditions, made to hold of position 0."""
        wider = flags.copy()
        wider[:, 0] = True
        if bool((wider | ~self.setting.visible).all()):
            return ()
        return placed if bool((wider == flags).all()) else (pairs_match(wider, self.setting),)

    def _too_much(self, fits: _Fits, beyond: Node, gate: _Gate) -> StepFunction:
        """1 where position 0 fits but for where it stands."""
        at_least, gap = between(1 + fits.below, 1 + fits.above)
        terms = ((1, fits.share), (1, beyond), *gate.terms(1))
        threshold = Threshold(terms, at_least + gate.raised(1), gap)
        of = self.learning.of
        return StepFunction(finite([0, 1]), of.text, (threshold,), (0, 1), place=of.place)

    def _step_functions(self, shares: Sequence[Node], gate: _Gate, *, sure: bool) -> list[StepFunction]:
        """From the attention weights of position 0 to the count c.

        There is one head for each amount of slack. If position 0 fails f conditions, its weight is 0
        with less slack than f, 1 with more, and with slack f it is 1/c if f is 0, else 1/(c + 1). So
        the sum of all these weights determines f and c. In long texts float32 does not distinguish
        such sums: then each weight has a step function of its own, and only one of these is not 0.
        """
        n = self.setting.context
        selected = [_exactly(Fraction(1, c), c) for c in range(n, 0, -1)]
        slack = [_exactly(Fraction(1, c + 1), c) for c in range(n - 1, 0, -1)]
        last = len(shares) - 1
        if n <= TOGETHER_UP_TO and 2 * n * (n + 1) * len(shares) <= self.setting.steps:
            sums = [_exactly(last - f + x, c) for f in range(last, 0, -1) for x, _, c in slack]
            sums += [_exactly(last + x, c) for x, _, c in selected]
            return [self._step_function(shares, sums, gate, sure=sure)]
        rest = [*slack, _exactly(Fraction(1), 0)]
        return [
            self._step_function(shares[:1], selected, gate),
            *(self._step_function([share], rest, gate) for share in shares[1:]),
        ]

    def _step_function(
        self,
        shares: Sequence[Node],
        points: Sequence[Point],
        gate: _Gate,
        *,
        sure: bool = False,
    ) -> StepFunction:
        """The count for each sum of shares; 0 below the first unless one is sure, or at a shut gate."""
        terms = (*((1, share) for share in shares), *gate.terms(len(shares)))
        known = points if sure else [_exactly(Fraction(0), 0), *points]
        thresholds: list[Threshold] = []
        for before, point in pairwise(known):
            at_least, gap = between(before.high, point.low)
            thresholds.append(Threshold(terms, at_least + gate.raised(len(shares)), gap))
        values = tuple(point.fit for point in known)
        of = self.learning.of
        return StepFunction(finite(set(values)), of.text, tuple(thresholds), values, place=of.place)
