"""Selections that surely find a source, proved from what they are made of."""

from __future__ import annotations

from handcraft.compiler.sequences.cases import Setting
from handcraft.language.sequences.domain import Value
from handcraft.language.sequences.node import Aggregate, Comparison, Embedded, Match, Node, Sources
from handcraft.language.sequences.reachable import bases, combinations, rows

LENGTHS_UP_TO = 128
"""Up to so many positions every length of text is tried."""


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
    if _is_position(match.key):
        return _is_within(match.query, setting)
    return _is_position(match.query) and not setting.causal and _is_rank(match.key)


def _is_position(node: Node) -> bool:
    return isinstance(node, Embedded) and node.of == "position"


def _is_length(node: Node) -> bool:
    return isinstance(node, Aggregate) and node.how == "count" and node.sources.cases == ((),)


def _is_within(query: Node, setting: Setting) -> bool:
    """Whether a computed position is one of the text, whatever its length."""
    below = bases(query)
    if setting.context > LENGTHS_UP_TO or not all(_is_position(b) or _is_length(b) for b in below):
        return False
    places = [i for i, base in enumerate(below) if _is_position(base)]
    lengths = [i for i, base in enumerate(below) if not _is_position(base)]
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
    if len(case) != 1 or case[0].key is not case[0].query:
        return False
    strict = case[0].relation in (Comparison.LT, Comparison.GT)
    return strict and _tells_positions_apart(case[0])


def _tells_positions_apart(match: Match) -> bool:
    """Whether the key is different at any two positions, whatever else it hangs on."""
    below = bases(match.key)
    places = [i for i, base in enumerate(below) if _is_position(base)]
    if not places or combinations([match.key]) is None:
        return False
    held: dict[Value, Value] = {}
    for combination, (value,) in rows([match.key], below):
        if held.setdefault(value, combination[places[0]]) != combination[places[0]]:
            return False
    return True
