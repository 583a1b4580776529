"""How much each rule adds to each bit of the code of its answer, so that the first match wins.

Rules are gone through from the last to the first. What later rules add to a bit, over all contexts
where a rule may be the first that fires, lies between two numbers. Where the bit is set in its answer,
the rule adds as much as makes every sum at least 1, and where it is not set at most -1:

    set:      max(0, 1 - least)            not set:     min(0, -1 - most)

So every sum has the sign of that bit in the answer of the first rule that fires. Where both numbers are
the same, a rule turns 1 into -1 or the other way round: it replaces the answer of the one behind it. So
sums do not grow however many rules stand in for each other, as in n-grams of many lengths. Only where
patterns overlap otherwise they grow, by the difference of the two numbers. To a bit that is computed a
rule adds more than either number, or as much less.

Where sums would be too large a rule gets a veto: no later rule that overlaps it and predicts something
else fires where it does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from handcraft.compiler.rules.overlap import (
    NOTHING,
    Added,
    OverlapIndex,
    Span,
    TooManyStatesError,
    sum_of,
)
from handcraft.compiler.rules.rank_rules import Contender
from handcraft.language.patterns.pattern import Pattern
from handcraft.language.rules.decision import ANYWHERE

Signs = Sequence[int]
"""For each bit of an answer 1 if it is set, -1 if it is not, and 0 if it is computed."""


@dataclass(frozen=True)
class Amounts:
    """What a rule adds.

    Args:
        bits: what is added to each bit; to a bit that is computed, so much or as much less.
        has_veto: whether no rival may fire where it does.
        rivals: if it has a veto, the later rules that overlap it and predict something else.
    """

    bits: tuple[int, ...]
    has_veto: bool = False
    rivals: tuple[int, ...] = ()


def find_amounts(
    rules: Sequence[Contender],
    index: OverlapIndex,
    answers: Sequence[Signs],
    most: int,
    most_in_all: int,
) -> list[Amounts]:
    """What each rule adds.

    Args:
        rules: in the order in which they are tried.
        index: their patterns by their numbers.
        answers: the bits of the answer of each.
        most: where what a rule adds, or a sum, would be larger, it gets a veto.
        most_in_all: the same where the sums of all bits would be larger together.
    """
    sums = _Sums(rules, index, answers)
    found: dict[int, Amounts] = {}
    for i in reversed(range(len(rules))):
        answer, added = answers[i], sums.later(i)
        made = Amounts(_bits(answer, added))
        sums_with = _largest(answer, made.bits, added if all(answer) else sums.later(i, alike=True))
        if max(map(abs, (*made.bits, *sums_with))) > most or sum(sums_with) > most_in_all:
            rivals = sums.rivals(i)
            made = Amounts(_bits(answer, sums.later(i, without=rivals)), True, tuple(rivals))
            for j in rivals:  # where this rule fires they do not
                sums.may_add[j] = _range(answers[j], found[j].bits)
        sums.may_add[i] = _range(answer, made.bits, is_sure=rules[i].is_sure)
        found[i] = made
    return [found[i] for i in range(len(rules))]


def largest_sums(
    rules: Sequence[Contender],
    index: OverlapIndex,
    answers: Sequence[Signs],
    amounts: Sequence[Amounts],
) -> Added[int]:
    """What rules add to each bit together, at least and at most, whichever of those that match do."""
    sums = _Sums(rules, index.rested(), answers)
    for i, (answer, made) in enumerate(zip(answers, amounts, strict=True)):
        sums.may_add[i] = _range(answer, made.bits)
    return sums.anywhere


class _Sums:
    """What rules add together.

    Args:
        rules: in the order in which they are tried.
        index: their patterns by their numbers.
        answers: the bits of the answer of each.

    Attributes:
        may_add: what each rule adds to each bit where it matches, at least and at most.
    """

    def __init__(
        self, rules: Sequence[Contender], index: OverlapIndex, answers: Sequence[Signs]
    ) -> None:
        self.rules, self.answers, self._index = rules, answers, index
        self.may_add: dict[int, Added[int]] = {}

    def later(self, i: int, without: Collection[int] = (), *, alike: bool = False) -> Added[int]:
        """What the rules after a rule add where it may be the first that fires; nothing if nowhere.

        To a bit that is computed others with the same answer add as it does, and so nothing against it.

        Args:
            i: the rule.
            without: those that do not fire where it does.
            alike: whether that counts too which others add as it does.
        """
        rule, computed = self.rules[i], [b for b, sign in enumerate(self.answers[i]) if not sign]

        def adds(j: int) -> Added[int] | None:
            if j < i:
                return None if self.rules[j].is_sure else {}
            if j == i or j in without:
                return {}
            if computed and not alike and self.rules[j].answer == rule.answer:
                return {b: ends for b, ends in self.may_add[j].items() if b not in computed}
            return self.may_add[j]

        return self._sum(self.rules[i].pattern, adds)

    @property
    def anywhere(self) -> Added[int]:
        """What all rules add."""
        return self._sum(ANYWHERE, self.may_add.__getitem__)

    def rivals(self, i: int) -> list[int]:
        """The later rules that may fire where a rule does, and predict something else."""
        rule = self.rules[i]
        together = sorted(self._index.overlapping(rule.pattern))
        return [j for j in together if j > i and self.rules[j].answer != rule.answer]

    def _sum(self, pattern: Pattern, adds: Callable[[int], Added[int] | None]) -> Added[int]:
        try:
            return self._index.added(pattern, adds) or {}
        except TooManyStatesError:
            return sum_of(adds(j) or {} for j in self._index.overlapping(pattern))


def _bits(answer: Signs, added: Added[int]) -> tuple[int, ...]:
    """What a rule adds to what others add."""
    bits = []
    for b, sign in enumerate(answer):
        least, most = added.get(b, NOTHING)
        if sign > 0:
            bits.append(max(0, 1 - least))
        elif sign < 0:
            bits.append(min(0, -1 - most))
        else:
            bits.append(1 + max(-least, most))
    return tuple(bits)


def _largest(answer: Signs, bits: Sequence[int], added: Added[int]) -> list[int]:
    """The largest sum of each bit with what a rule adds."""
    own = _range(answer, bits, is_sure=True)
    ends = ([added.get(b, NOTHING)[end] + own[b][end] for end in (0, 1)] for b in own)
    return [max(map(abs, each)) for each in ends]


def _range(answer: Signs, bits: Sequence[int], *, is_sure: bool = False) -> Added[int]:
    """What a rule adds to each bit, at least and at most.

    Args:
        answer: the bits of its answer.
        bits: what it adds.
        is_sure: whether it surely adds it.
    """
    found: dict[int, Span] = {}
    for b, (sign, number) in enumerate(zip(answer, bits, strict=True)):
        ends = number if sign else -number, number
        found[b] = ends if is_sure else (min(0, *ends), max(0, *ends))
    return found
