"""Heights: how much each rule adds to the logit of its token, so that the first match wins.

Several rules can match one context, and what they add to one logit adds up. Rule r gets the height

    h(r) = 1 + max over tokens v other than r's of (sum of h(s), s after r, overlapping r, predicting v)

Where r is the first that matches, its token has at least h(r), and any other token v at most the sum
above, since only later rules that overlap r can match too. So r's token wins by at least 1.

A rule after which nothing that overlaps it predicts anything else is not needed at all where an
`otherwise` predicts the same: it is dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from handcraft.compiler.overlap import OverlapIndex
from handcraft.language.rule import Clause


@dataclass(frozen=True)
class RankedRule:
    """A clause that is needed, and the rules it must outvote.

    Args:
        clause: the clause.
        height: what it adds to the logit of its token, in units.
        rivals: the later rules, by their index among the ranked rules, that overlap it and predict
            another token.
    """

    clause: Clause
    height: int
    rivals: tuple[int, ...]


def rank_rules(clauses: Sequence[Clause]) -> tuple[RankedRule, ...]:
    """The clauses that are needed, with their heights, in order.

    Args:
        clauses: the clauses that can win on some context, in the order in which they are tried.
    """
    otherwise = clauses[-1].token if clauses and clauses[-1].is_otherwise else None
    index = OverlapIndex()
    heights: dict[int, int] = {}
    rivals: dict[int, tuple[int, ...]] = {}
    for i in reversed(range(len(clauses))):
        clause = clauses[i]
        against: defaultdict[int, int] = defaultdict(int)
        others = sorted(
            j for j in index.overlapping(clause.pattern) if clauses[j].token != clause.token
        )
        for j in others:
            against[clauses[j].token] += heights[j]
        if not others and clause.token == otherwise and not clause.is_otherwise:
            continue
        heights[i] = 1 + max(against.values(), default=0)
        rivals[i] = tuple(others)
        index.add(i, clause.pattern)
    kept = sorted(heights)
    place = {i: number for number, i in enumerate(kept)}
    return tuple(RankedRule(clauses[i], heights[i], tuple(place[j] for j in rivals[i])) for i in kept)
