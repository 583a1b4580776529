"""Counts and means in a rotary model as sums over look-backs, for dtypes that hold few digits.

A flag is moved from every distance at which sources are counted. Flags are exact in every dtype, and so
is their sum; but it takes a head, and a dimension, for each distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count, pairwise, product
from math import ceil, lcm

from handcraft.compiler.passes.aggregates.clipped import brought
from handcraft.compiler.passes.aggregates.head_outputs import HeadOutputs
from handcraft.compiler.passes.cases import Setting, has_constant_query, simplified
from handcraft.compiler.passes.ir import IsText, StepFunction, Threshold
from handcraft.language.graph.domain import (
    FLAGS,
    Finite,
    Kind,
    Plain,
    Range,
    Value,
    as_number,
    finite,
    kind_of,
)
from handcraft.language.graph.node import (
    Aggregate,
    AtLeast,
    Case,
    Linear,
    Lookup,
    Node,
    is_token,
)
from handcraft.language.graph.reachable import bases, combinations
from handcraft.language.graph.source_counts import Flags
from handcraft.language.graph.wording import listed_in, reads

UNROLLED_UP_TO = 96
"""From how many distances a flag is moved. bfloat16 tells a sum exactly from a threshold that is up to
63 below it, and of the two sides of a threshold the nearer one counts."""


def unrolled_count(outputs: HeadOutputs, others: Case, flags: Flags) -> StepFunction | None:
    """The count of one case; None from too many distances.

    Args:
        outputs: makes nodes.
        others: the conditions on values; at least one.
        flags: which sources the conditions on positions allow, [destination, source].
    """
    setting = outputs.setting
    apart = [d for d in range(setting.context) if flags.diagonal(-d).any()]
    if len(apart) > UNROLLED_UP_TO:
        return None
    found = []
    for back in apart:
        flag = _matches_at(outputs, others, back)
        there = [bool(flags[i, i - back]) if i >= back else False for i in range(setting.context)]
        if not all(there[back:]):
            flag = outputs.all([flag, outputs.at_positions(there, reads(f"counts {back} back"))])
        found.append(flag)
    counts = tuple(range(min(len(found), int(flags.sum(axis=1).max())) + 1))
    terms = tuple((1, flag) for flag in found)
    thresholds = tuple(Threshold(terms, t, 1) for t in counts[1:])
    of = outputs.of
    return StepFunction(finite(counts), of.text, thresholds, counts, place=of.place)


def unrolled_means(node: Node, done: Mapping[Node, Node], setting: Setting) -> StepFunction | None:
    """A comparison of means over everything with a number, or a table of one: none is a fraction then.

    The mean of x is at least b where the sum of x - b is at least 0.

    Args:
        node: the comparison or the table.
        done: what became of the nodes below it.
        setting: what is known about the texts.

    Returns:
        None where it reads anything else.
    """
    steps = _steps_of(node)
    if steps is None or setting.context > UNROLLED_UP_TO:
        return None
    number, changes, results = steps
    terms = number.terms if isinstance(number, Linear) else ((1, number),)
    constant = number.constant if isinstance(number, Linear) else 0
    means = [mean for _, mean in terms if isinstance(mean, Aggregate) and _is_plain_mean(mean, setting)]
    values = [done[mean.value] for mean in means if mean.value is not None]
    if len(values) < len(terms) or not all(isinstance(value.domain, Finite) for value in values):
        return None
    sums = _Sums(HeadOutputs(means[0], setting), [factor for factor, _ in terms], values)
    thresholds = tuple(sums.threshold(below - constant, above - constant) for below, above in changes)
    if not all(threshold.terms for threshold in thresholds):
        return None
    return StepFunction(node.domain, node.text, thresholds, results, place=node.place)


Change = tuple[Plain, Plain]
"""The last number before a change of a table, and the first one after."""


def _steps_of(node: Node) -> tuple[Node, list[Change], tuple[Value, ...]] | None:
    """The number that a node is a step function of, where it changes, and the values between."""
    if isinstance(node, AtLeast):
        assert isinstance(node.number.domain, Range)
        below = node.bound - node.number.domain.below(node.bound)
        return node.number, [(below, node.bound)], (False, True)
    if not isinstance(node, Lookup) or len(node.arguments) != 1:
        return None
    listed = ((key, value) for (key,), value in node.table.items())
    numbered = ((as_number(k), value) for k, value in listed if kind_of(k) is not Kind.CATEGORY)
    rows = sorted(numbered, key=lambda row: row[0])
    changes = [(one, other) for (one, a), (other, b) in pairwise(rows) if a != b]
    if len(rows) < len(node.table) or not changes:
        return None
    after = [other for _, other in changes]
    return node.arguments[0], changes, (rows[0][1], *(value for key, value in rows if key in after))


@dataclass(frozen=True)
class _Sums:
    """Sums over everything, of what numbers of the source exceed a bound by."""

    outputs: HeadOutputs
    factors: Sequence[Plain]
    values: Sequence[Node]

    def threshold(self, below: Plain, above: Plain) -> Threshold:
        """Whether the sum of the means is above the first number, and so at least the second."""
        bound = simplest_between(below, above)
        domains = (value.domain.values for value in self.values if isinstance(value.domain, Finite))
        reached = combinations(self.values)
        excess = {
            row: sum(f * as_number(value) for f, value in zip(self.factors, row, strict=True)) - bound
            for row in product(*domains)
            if reached is None or row in reached
        }
        unit = lcm(*(number.denominator for number in excess.values()))
        terms: list[tuple[Plain, Node]] = []
        for amount in sorted({*excess.values()} - {0}):
            table: dict[tuple[Value, ...], Value] = {row: n == amount for row, n in excess.items()}
            text = reads(listed_in(self.values), f" exceeds by {amount}")
            flag = Lookup(FLAGS, text, tuple(self.values), table, place=self.outputs.of.place)
            count = self.outputs.setting.context
            terms += [(int(amount * unit), _moved(self.outputs, flag, back)) for back in range(count)]
        return Threshold(tuple(terms), 1 if bound == below else 0, 1)


def simplest_between(low: Plain, high: Plain) -> Fraction:
    """The fraction with the smallest denominator from the first number to the second.

    >>> simplest_between(0, Fraction(1, 16)), simplest_between(Fraction(2, 7), Fraction(3, 8))
    (Fraction(0, 1), Fraction(1, 3))
    """
    for below in count(1):
        top = ceil(low * below)
        if top <= high * below:
            return Fraction(top, below)
    raise AssertionError


def _is_plain_mean(mean: Aggregate, setting: Setting) -> bool:
    """Whether it is over everything."""
    cases = [simplified(case, setting) for case in mean.sources.cases]
    return mean.how == "mean" and cases == [()]


def _matches_at(outputs: HeadOutputs, others: Case, back: int) -> Node:
    """A flag: whether there is a source so far back, and it matches."""
    constant = [match for match in others if has_constant_query(match)]
    flags: list[Node] = []
    if constant:
        flags.append(_moved(outputs, outputs.matches(constant), back))
    for match in others:
        if match not in constant:
            key = match.key if back == 0 else brought(outputs, match.key, back)
            flags.append(outputs.here((replace(match, key=key),)))
    if not constant and back:
        flags.append(brought(outputs, IsText(FLAGS, reads("text")), back))
    return outputs.all(flags)


def _moved(outputs: HeadOutputs, flag: Node, back: int) -> Node:
    """A flag of the source so far back; false where there is none."""
    if back == 0:
        return flag
    if all(map(is_token, bases(flag))):
        return replace(brought(outputs, flag, back), begun=True)
    there = brought(outputs, IsText(FLAGS, reads("text")), back)
    return outputs.all([there, brought(outputs, flag, back)])
