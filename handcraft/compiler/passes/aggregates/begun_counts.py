"""Counts in a rotary model, by the part of the attention that the begin token gets.

The begin token is no source that an expression knows of. So it may count as a source that always
matches: of c sources that match besides, its part is 1/(c + 1), whatever they are. Where queries are
constant, one head for all counts is enough, which attends to everything: a flag of the sources has a
mean of c/(n + 1) then, and the begin token a part of 1/(n + 1).
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np

from handcraft.compiler.passes.aggregates.head_outputs import HeadOutputs
from handcraft.compiler.passes.aggregates.unrolled import unrolled_count
from handcraft.compiler.passes.cases import has_constant_query
from handcraft.compiler.passes.ir import Attend, IsBegin, StepFunction, Threshold, between
from handcraft.language.graph.domain import FLAGS, Plain, Range, finite
from handcraft.language.graph.node import Case, Node, is_token
from handcraft.language.graph.reachable import bases
from handcraft.language.graph.source_counts import Flags
from handcraft.language.graph.wording import reads

Terms = list[tuple[Plain, Node]]
"""Factors and nodes that are added up to a count."""


def begun_count(outputs: HeadOutputs, placed: Case, others: Case, flags: Flags) -> Terms:
    """The count of one case.

    Args:
        outputs: makes nodes.
        placed: the conditions on positions.
        others: the conditions on values; at least one.
        flags: which sources the conditions on positions allow, [destination, source].
    """
    seen = flags & outputs.setting.visible
    if not outputs.setting.holds_parts:
        unrolled = unrolled_count(outputs, others, seen)
        if unrolled is not None:
            return [(1, unrolled)]
    if bool((seen == np.tril(outputs.setting.visible, -1)).all()):  # all but this position
        return [*begun_count(outputs, (), others, outputs.setting.visible), (-1, outputs.here(others))]
    if not placed and all(map(has_constant_query, others)) and _of_token(others):
        return [(1, _by_everything(outputs, others))]
    most = int(seen.sum(axis=1).max())
    return [(1, _by_matches(outputs, (*others, *placed), most))]


def _by_everything(outputs: HeadOutputs, others: Case) -> StepFunction:
    """Count c of n sources: c >= t if c/(n + 1) - (t - 1/2)/(n + 1) is not negative."""
    n = outputs.setting.context
    weight, one = _part(outputs, (), outputs.matches(others)), _part(outputs, (), _begin())
    half = Fraction(1, 2 * (n + 1))
    at_least, gap = between(-half, half)
    thresholds = tuple(
        Threshold(((1, weight), (Fraction(1, 2) - t, one)), at_least, gap) for t in range(1, n + 1)
    )
    of, counts = outputs.of, tuple(range(n + 1))
    return StepFunction(finite(counts), of.text, thresholds, counts, place=of.place)


def _by_matches(outputs: HeadOutputs, case: Case, most: int) -> StepFunction:
    """Count up to `most` sources by the part 1/(c + 1) of the begin token."""
    terms, counts = ((1, _part(outputs, case, _begin())),), tuple(range(most, -1, -1))
    thresholds = []
    for more, fewer in pairwise(counts):
        at_least, gap = between(Fraction(1, more + 1), Fraction(1, fewer + 1))
        thresholds.append(Threshold(terms, at_least, gap))
    of = outputs.of
    return StepFunction(finite(counts), of.text, tuple(thresholds), counts, place=of.place)


def _part(outputs: HeadOutputs, case: Case, flag: Node) -> Attend:
    """The part of the attention of the sources where a flag is 1, the begin token among all of them."""
    domain = Range(0, 1, Fraction(1), outputs.setting.context + 1)
    text = reads("fraction of ", flag)
    return Attend(domain, text, case, flag, "mean", begun=True, place=outputs.of.place)


def _begin() -> IsBegin:
    return IsBegin(FLAGS, reads("begin"))


def _of_token(case: Case) -> bool:
    """Whether all keys depend on the token alone."""
    return all(is_token(base) for match in case for base in bases(match.key))
