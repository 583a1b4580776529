"""Prove that a selection always finds exactly one source."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import add

from handcraft.compiler.passes.cases import Setting
from handcraft.language.graph.domain import Finite, Value, as_number
from handcraft.language.graph.node import (
    Aggregate,
    Comparison,
    Linear,
    Match,
    Node,
    Sources,
    is_position,
)
from handcraft.language.graph.reachable import BASES_UP_TO, bases, combinations, rows


def finds_one(sources: Sources, setting: Setting) -> bool:
    """Whether every destination selects exactly one source, on every text.

    Two things are recognised: a position that is computed from the position and the length of the text
    and lies within the text; and the rank among keys that are all different, which takes every value
    from 0 to the length less 1 once.
    """
    if len(sources.cases) != 1 or len(sources.cases[0]) != 1:
        return False
    (match,) = sources.cases[0]
    if match.relation is not Comparison.EQ:
        return False
    if is_position(match.key):
        return _is_within(match.query, setting)
    return is_position(match.query) and not setting.causal and _is_rank(match.key)


def _is_length(node: Node) -> bool:
    return isinstance(node, Aggregate) and node.how == "count" and node.sources.cases == ((),)


def _is_within(query: Node, setting: Setting) -> bool:
    """Whether a computed position is one of the text, whatever its length."""
    below = bases(query)
    if not all(is_position(base) or _is_length(base) for base in below):
        return False
    if not all(isinstance(base.domain, Finite) for base in below):
        return False
    parts = _parts(query, setting.context)
    if parts is not None:
        return _is_sum_within(*parts, causal=setting.causal)
    return _is_each_within(query, below, setting)


def _is_sum_within(of_position: Sequence[int], of_length: Sequence[int], *, causal: bool) -> bool:
    """Whether a sum of two parts is a position of the text, whatever its length.

    Only the positions with the smallest and with the largest number matter, and with a causal mask only
    the last position.
    """
    least = of_position if causal else accumulate(of_position, min)
    greatest = of_position if causal else accumulate(of_position, max)
    return all(
        low + number >= 0 and high + number <= last
        for last, (low, high, number) in enumerate(zip(least, greatest, of_length, strict=True))
    )


def _parts(query: Node, context: int) -> tuple[list[int], list[int]] | None:
    """Whole numbers for each position and for each length, of which the query is the sum.

    None where a term depends on both, is not whole, or is excluded somewhere by an assumption.
    """
    if not isinstance(query, Linear) or not isinstance(query.constant, int):
        return None
    of_position, of_length = [0] * context, [query.constant] * context
    for factor, node in query.terms:
        below = bases(node)
        if len(below) != 1:
            return None
        numbers = [factor * as_number(value) for _, (value,) in rows([node], below)]
        whole = [number for number in numbers if isinstance(number, int)]
        if len(whole) != context:
            return None
        total = of_position if is_position(below[0]) else of_length
        total[:] = map(add, total, whole)
    return of_position, of_length


def _is_each_within(query: Node, below: Sequence[Node], setting: Setting) -> bool:
    """The same for any function, by trying every position of every length if they are few enough."""
    if setting.context ** len(below) > BASES_UP_TO:
        return False
    places = [i for i, base in enumerate(below) if is_position(base)]
    lengths = [i for i, base in enumerate(below) if not is_position(base)]
    for combination, (value,) in rows([query], below):
        position = combination[places[0]] if places else 0
        length = combination[lengths[0]] if lengths else None
        assert isinstance(position, int)
        if length is None:
            last = position  # the text may end here
        else:
            assert isinstance(length, int)
            if position >= length or (setting.causal and position != length - 1):
                continue
            last = length - 1
        if not isinstance(value, int) or not 0 <= value <= last:
            return False
    return True


def _is_rank(node: Node) -> bool:
    """Whether it counts the keys before this one, in an order in which no two keys are equal."""
    if not isinstance(node, Aggregate) or node.how != "count" or len(node.sources.cases) != 1:
        return False
    case = node.sources.cases[0]
    if len(case) != 1 or case[0].key != case[0].query:
        return False
    strict = case[0].relation in (Comparison.LT, Comparison.GT)
    return strict and _has_unique_keys(case[0])


def _has_unique_keys(match: Match) -> bool:
    """Whether the keys of any two positions differ, whatever else they depend on."""
    below = bases(match.key)
    places = [i for i, base in enumerate(below) if is_position(base)]
    if not places or combinations([match.key]) is None:
        return False
    feature: dict[Value, Value] = {}
    for combination, (value,) in rows([match.key], below):
        if feature.setdefault(value, combination[places[0]]) != combination[places[0]]:
            return False
    return True
