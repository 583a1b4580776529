"""Heights: how much each rule adds to the logit of its token, so that the first match wins.

Several rules can fire on one context, and what they add to one logit adds up. Rule r gets the height

    h(r) = 1 + max over tokens v other than r's, and over contexts where r may be the first that fires,
               of (sum of h(s), s after r, matching the context, predicting v)

There its token has at least h(r), and any other token v at most the sum
above. So r's token wins by at least 1. A rule that is never the first is dropped.

Where that height is too large for a logit, r gets a veto instead: no later rule that overlaps it and
predicts anything else fires where r does. Then a height of 1 is enough.

Conditions other than the pattern are not looked into: a rule that has some may fire where its pattern
matches, and one that has none does. A rule is dropped too if an `otherwise` predicts the same and no
later rule that may fire besides predicts anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf

from handcraft.compiler.rules.overlap import Added, OverlapIndex, TooManyStatesError, sum_of
from handcraft.language.patterns.pattern import Pattern


@dataclass(frozen=True)
class Contender:
    """The parts of a rule that ranking reads.

    Args:
        pattern: what the context must end in where it fires.
        answer: two rules with the same answer predict the same token wherever both fire.
        tokens: the ids of the tokens that it can predict.
        is_otherwise: whether it always fires.
        is_sure: whether it fires wherever its pattern matches.
    """

    pattern: Pattern
    answer: Hashable
    tokens: frozenset[int]
    is_otherwise: bool
    is_sure: bool = False


@dataclass(frozen=True)
class Rank:
    """The height of a needed rule.

    Args:
        rule: its index among all rules.
        height: what it adds to the logit of its token, in units.
        has_veto: whether no rival may fire where it does.
        rivals: if it has a veto, the later rules, by their index among the ranked ones, that overlap it
            and predict something else.
        squares: where it is the first to fire, no sum of squares of what is added is larger, over all
            tokens.
    """

    rule: int
    height: int
    has_veto: bool
    rivals: tuple[int, ...]
    squares: int


def rank(
    rules: Sequence[Contender],
    highest: float = inf,
    most_squares: float = inf,
    *,
    alone: bool = False,
) -> tuple[Rank, ...]:
    """The rules that are needed, with their heights, in order.

    Args:
        rules: in the order in which they are tried.
        highest: the largest height that a rule may get; with 0 every rule that has rivals gets a veto.
        most_squares: a rule gets a veto too where `Rank.squares` would be larger without.
        alone: whether no two rules may add anything at once, not even of the same answer.
    """
    otherwise = rules[-1].answer if rules and rules[-1].is_otherwise else None
    index = OverlapIndex.of(rule.pattern for rule in rules)
    heights: dict[int, int] = {}
    rivals: dict[int, list[int]] = {}
    squares: dict[int, int] = {}
    for i in reversed(range(len(rules))):
        rule = rules[i]

        def adds(j: int, i: int = i, rule: Contender = rule) -> Added[Place] | None:
            if j <= i:
                return None if j < i and rules[j].is_sure else {}
            is_against, n = alone or rules[j].answer != rule.answer, heights.get(j, 0)
            return {(is_against, token): (n, n) for token in rules[j].tokens} if n else {}

        try:
            added = index.added(rule.pattern, adds)
        except TooManyStatesError:
            added = sum_of(adds(j) or {} for j in index.overlapping(rule.pattern))
        if added is None:
            continue
        has_rivals = any(is_against for is_against, _ in added)
        if not has_rivals and rule.answer == otherwise and not rule.is_otherwise:
            continue
        own = rule.tokens if len(rule.tokens) == 1 else frozenset()
        against = (
            most for (is_against, token), (_, most) in added.items() if is_against and token not in own
        )
        heights[i] = 1 + max(against, default=0)
        squares[i] = _squares(added, rule, heights[i])
        if has_rivals and (heights[i] > highest or squares[i] > most_squares):
            together = ((j, adds(j)) for j in sorted(index.overlapping(rule.pattern)))
            rivals[i] = [j for j, adding in together if adding and any(key[0] for key in adding)]
            heights[i] = 1
            squares[i] = _squares({key: n for key, n in added.items() if not key[0]}, rule, 1)
    kept = sorted(heights)
    place = {i: number for number, i in enumerate(kept)}
    return tuple(
        Rank(i, heights[i], i in rivals, tuple(place[j] for j in rivals.get(i, ())), squares[i])
        for i in kept
    )


Place = tuple[bool, int]
"""A token to which rules add, separately for those that predict something else."""


def _squares(added: Added[Place], rule: Contender, height: int) -> int:
    """The sum of squares over all tokens of what is added, and what a rule adds besides."""
    by_token = Counter(dict.fromkeys(rule.tokens, height))
    for (_, token), (_, most) in added.items():
        by_token[token] += most
    return sum(number**2 for number in by_token.values())
