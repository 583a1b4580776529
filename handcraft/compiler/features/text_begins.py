"""Where a text begins, for models that embed no position: what heads find out by looking back."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from handcraft.compiler.features.feature import CODE, Feature, Numbers, Reading
from handcraft.compiler.passes.ir import (
    Attend,
    IsBefore,
    IsBegin,
    StepFunction,
    Threshold,
    between,
)
from handcraft.language.graph.domain import FLAGS, Plain, Range, finite
from handcraft.language.graph.node import Embedded
from handcraft.language.graph.wording import reads

if TYPE_CHECKING:
    from handcraft.compiler.features.allocate import Features

BEGIN = "begin"
"""The name of a flag that is true at the begin token only."""


def position_by_part(context: int) -> StepFunction:
    """The position by the part of the attention that the begin token gets of all sources.

    At position i these are i + 2, so its part is 1/(i + 2). A threshold at every position is enough for
    all functions of it.
    """
    begin = IsBegin(FLAGS, reads("begin"))
    domain = Range(0, 1, Fraction(1), context + 1)
    part = Attend(domain, reads("fraction of begin"), (), begin, "mean", begun=True)
    values = tuple(range(context - 1, -1, -1))
    thresholds = []
    for later, earlier in pairwise(values):
        at_least, gap = between(Fraction(1, later + 2), Fraction(1, earlier + 2))
        thresholds.append(Threshold(((1, part),), at_least, gap))
    return StepFunction(finite(values), reads("position"), tuple(thresholds), values)


def by_steps(features: Features, numbers: Numbers) -> Reading:
    """A function of the position as flags, one for each place where it changes."""
    total = Reading((), numbers[-1])
    for end, (before, after) in enumerate(pairwise(numbers), 1):
        if before != after:
            flag = features.allocate(IsBefore(FLAGS, reads(f"position < {end}"), end))
            place = flag.numbers.setdefault((0, 1), 0)
            if not flag.moved:
                flag.moved.append(at_begin(features))
            total += Reading(((before - after, flag, place),))
    return total


def with_begin(reading: Reading, features: Features, number: Plain) -> Reading:
    """What reads a number at the begin token, and elsewhere the same as a sum over embedded ones."""
    there = reading.constant + sum(f * _stored_at_begin(feature, i) for f, feature, i in reading.terms)
    return reading + at_begin(features) * (number - there) if there != number else reading


def _stored_at_begin(feature: Feature, i: int) -> Plain:
    """The number that the begin token stores of an embedded feature."""
    assert isinstance(feature.node, Embedded)
    count = len(feature.values)
    if feature.is_one_hot:
        return int(i == count)
    if feature.is_code:  # the begin token has the id after the last
        width = len(feature.numbers)
        return 1 if count >> (width - 1 - i) & 1 else -1
    return feature.numbers_at(i)[0] if feature.at_begin is None else feature.at_begin


def at_begin(features: Features) -> Reading:
    """A flag that is true at the begin token only."""
    token = features.by_node.get("token")
    if token is not None and token.is_one_hot:
        return Reading(((1, token, len(token.values)),))
    if BEGIN not in features.by_node:
        code = features.by_node[CODE]
        nowhere = (0,) * len(code.values)
        features.by_node[BEGIN] = Feature(code.node, {nowhere: 0}, has_flags=True, at_begin=1)
    return Reading(((1, features.by_node[BEGIN], 0),))
