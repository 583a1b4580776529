"""Facts about the conditions of a selection, before anything is compiled."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from handcraft.compiler.features.precision import Precision
from handcraft.language import Prompts
from handcraft.language.graph.domain import Finite, Plain, Value, as_number, finite
from handcraft.language.graph.node import (
    Case,
    Comparison,
    Constant,
    Embedded,
    Lookup,
    Match,
    Node,
    is_position,
)
from handcraft.language.graph.reachable import bases, rows
from handcraft.language.graph.source_counts import Flags, holding
from handcraft.language.graph.wording import reads

LEXICOGRAPHIC_FROM = 64
"""From so many values on, a comparison is split into its parts where that is possible."""


LEAST_DIGITS = 1 << 16
"""`Setting.steps` of dtypes that hold no more digits than float16 are not larger."""

STEPS_UP_TO = 64
"""The most steps of a table that are always accepted to save a block."""


@dataclass(frozen=True)
class Setting:
    """What the passes know about the texts.

    Args:
        context: the largest number of positions.
        causal: whether a position sees only itself and earlier ones.
        steps: how much larger than its gap a sum may be that a neuron reads.
        in_powers: whether values that are compared count a power of two, of which every dtype holds
            all digits.
        soft: whether attention may be soft: no LayerNorm changes scores, and a float holds many digits.
        in_bits: whether values of many kinds become flags in the end.
        prompts: which texts are allowed; None where that does not matter.
        rotary: whether heads attend by distance, and no position is embedded.
        most_steps: how many steps of a table are always accepted to save a block.
    """

    context: int
    causal: bool
    steps: int = Precision("float32").steps
    in_powers: bool = False
    soft: bool = False
    in_bits: bool = False
    prompts: Prompts | None = None
    rotary: bool = False
    most_steps: int = STEPS_UP_TO

    @classmethod
    def of(cls, prompts: Prompts, precision: Precision, *, rotary: bool = False) -> Setting:
        """For a model with some precision."""
        return cls(
            prompts.context,
            prompts.causal,
            precision.steps,
            soft=precision.is_wide and not precision.normed,
            prompts=prompts,
            rotary=rotary,
        )

    @property
    def holds_parts(self) -> bool:
        """Whether the dtype holds parts of the attention, which tell how many sources match."""
        return self.steps > LEAST_DIGITS

    @cached_property
    def position(self) -> Embedded:
        """The position as a node."""
        return Embedded(finite(range(self.context)), reads("position"), "position")

    @property
    def visible(self) -> Flags:
        """Which source a destination sees where the text is as long as the context."""
        everywhere = np.ones((self.context, self.context), dtype=bool)
        return np.tril(everywhere) if self.causal else everywhere


def is_positional(match: Match) -> bool:
    """Whether it depends on nothing but the two positions."""
    return _of_position(match.key) and _of_position(match.query)


def _of_position(node: Node) -> bool:
    return all(map(is_position, bases(node)))


def has_constant_query(match: Match) -> bool:
    """Whether its query is the same everywhere."""
    return isinstance(match.query, Constant)


def allowed(matches: Sequence[Match], setting: Setting) -> Flags:
    """Which sources positional conditions allow: [destination, source], unseen ones too."""
    flags = np.ones((setting.context, setting.context), dtype=bool)
    for match in matches:
        flags &= holding(match, at_positions(match.key, setting), at_positions(match.query, setting))
    return flags


def at_positions(node: Node, setting: Setting) -> list[Value]:
    """The value of a function of the position at every position."""
    below = bases(node)
    if not below:
        return [next(rows([node], below))[1][0]] * setting.context
    values = {  # every base is the position itself
        combination[0]: row[0] for combination, row in rows([node], below) if len({*combination}) == 1
    }
    filler = next(iter(values.values()))
    return [values.get(i, filler) for i in range(setting.context)]


def match_key(match: Match) -> Hashable:
    """What a condition says: two with the same key hold of the same pairs."""
    relation = match.relation
    return match.key, match.query, relation


def simplified(case: Case, setting: Setting) -> Case | None:
    """The case without conditions that always hold or are there twice; None where it never holds.

    Positional conditions become one.
    """
    distinct = tuple({match_key(match): match for match in case}.values())
    placed = [match for match in distinct if is_positional(match)]
    others = tuple(match for match in distinct if not is_positional(match))
    if not placed:
        return others
    flags = allowed(placed, setting)
    if not (flags & setting.visible).any():
        return None
    if (flags | ~setting.visible).all():
        return others
    if len(placed) == 1:
        return (*others, placed[0])
    return (*others, pairs_match(flags, setting))


def looks_back(match: Match, setting: Setting) -> bool:
    """Whether a condition that names a position names none that is later than this one."""
    if not _of_position(match.query):
        return False
    queries = at_positions(match.query, setting)
    return all(as_number(query) <= here for here, query in enumerate(queries))


def names_one_position(case: Case, setting: Setting) -> bool:
    """Whether the only condition is that a source is at a position that is surely seen."""
    if len(case) != 1 or case[0].relation is not Comparison.EQ:
        return False
    (match,) = case
    return is_position(match.key) and looks_back(match, setting)


def distance_back(sources: Sequence[int]) -> int | None:
    """How far back a source is, the same for every destination that has one so far back.

    Args:
        sources: for each destination the position of its source; where that would be before the text,
            any of the first ones, or a negative number.

    Returns:
        The distance; None where there is none, or where all are the first position.

    >>> distance_back([-1, 0, 1, 2]), distance_back([0, 0, 1, 2]), distance_back([0, 0, 0, 1, 1])
    (1, 1, None)
    """
    back = len(sources) - 1 - sources[-1]
    if back and not any(sources):
        return None
    reached = all(source == here - back for here, source in enumerate(sources) if here >= back)
    return back if reached and all(source <= 0 for source in sources[:back]) else None


def pairs_match(flags: Flags, setting: Setting) -> Match:
    """The positional condition that allows just these pairs: [destination, source]."""
    here, there = np.nonzero(flags)
    pairs = frozenset(zip(there.tolist(), here.tolist(), strict=True))
    return Match(setting.position, setting.position, pairs)


STRICT = {
    Comparison.LT: (Comparison.LEQ, Comparison.GEQ),
    Comparison.GT: (Comparison.GEQ, Comparison.LEQ),
}
"""For a strict comparison, itself or equal, and its opposite."""


def split(match: Match) -> list[Case] | None:
    """An order of pairs as disjoint cases over their parts: the first decides, the second breaks ties.

    Only for a comparison of an expression with itself elsewhere; None where it is no such order.
    """
    relation = match.relation
    if match.key != match.query or not isinstance(relation, Comparison):
        return None
    if relation in (Comparison.EQ, Comparison.NEQ) or not isinstance(match.key.domain, Finite):
        return None
    below = bases(match.key)
    if len(match.key.domain.values) < LEXICOGRAPHIC_FROM or len(below) != 2:
        return None
    table = {combination: as_number(row[0]) for combination, row in rows([match.key], below)}
    for first, second in ((0, 1), (1, 0)):
        ranks = _ranks(table, first, second)
        if ranks is not None:
            one = _ranked(below[first], ranks[0])
            other = _ranked(below[second], ranks[1])
            strict = Comparison.LT if relation in (Comparison.LT, Comparison.LEQ) else Comparison.GT
            tie = Match(one, one, Comparison.EQ)
            return [(Match(one, one, strict),), (tie, Match(other, other, relation))]
    return None


def _ranks(
    table: Mapping[tuple[Value, ...], Plain], first: int, second: int
) -> tuple[dict[Value, int], dict[Value, int]] | None:
    """The order of the values of both parts: the first decides, the second breaks ties."""
    groups: dict[Value, list[tuple[Plain, Value]]] = {}
    for row, number in table.items():
        groups.setdefault(row[first], []).append((number, row[second]))
    for members in groups.values():
        members.sort(key=lambda member: member[0])
    ordered = sorted(groups.items(), key=lambda item: item[1][0][0])
    numbers = [number for _, members in ordered for number, _ in members]
    ties = [value for _, value in ordered[0][1]]
    same = all([value for _, value in members] == ties for _, members in ordered)
    if not same or any(before >= after for before, after in pairwise(numbers)):
        return None
    return (
        {value: rank for rank, (value, _) in enumerate(ordered)},
        {value: rank for rank, value in enumerate(ties)},
    )


def _ranked(node: Node, ranks: dict[Value, int]) -> Node:
    """A node that gives the rank of the value of another."""
    table: dict[tuple[Value, ...], Value] = {(value,): rank for value, rank in ranks.items()}
    assert isinstance(node.domain, Finite)
    if all(value == rank and not isinstance(value, bool) for value, rank in ranks.items()):
        return node
    return Lookup(finite(ranks.values()), reads("rank of ", node), (node,), table, place=node.place)
