"""Where a text begins, for models that embed no position: what heads find out by looking back."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from handcraft.compiler.features.feature import CODE, Feature, Numbers, Reading
from handcraft.compiler.passes.ir import IsBefore
from handcraft.language.graph.domain import FLAGS
from handcraft.language.graph.wording import reads

if TYPE_CHECKING:
    from handcraft.compiler.features.allocate import Features

BEGIN = "begin"
"""The name of a flag that is true at the begin token only."""


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
