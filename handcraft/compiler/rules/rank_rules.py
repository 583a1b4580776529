"""Heights: how much each rule adds to the logit of its token, so that the first match wins.

Several rules can fire on one context, and what they add to one logit adds up. Rule r gets the height

    h(r) = 1 + max over tokens v other than r's of (sum of h(s), s after r, overlapping r, predicting v)

Where r is the first that fires, its token has at least h(r), and any other token v at most the sum
above, since only later rules that overlap r can fire too. So r's token wins by at least 1.

Where that height is too large for a logit, r gets a veto instead: no later rule that overlaps it and
predicts anything else fires where r does. Then a height of 1 is enough.

Conditions other than the pattern are ignored here: two rules overlap if their patterns do. A rule is
dropped if an `otherwise` predicts the same and no later rule that overlaps it predicts anything else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from handcraft.compiler.rules.overlap import OverlapIndex
from handcraft.language.patterns.pattern import Pattern
from handcraft.language.rule import Clause


@dataclass(frozen=True)
class Contender:
    """The parts of a rule that ranking reads.

    Args:
        pattern: what the context must end in where it fires.
        answer: two rules with the same answer predict the same token wherever both fire.
        tokens: the ids of the tokens that it can predict.
        is_otherwise: whether it always fires.
    """

    pattern: Pattern
    answer: Hashable
    tokens: frozenset[int]
    is_otherwise: bool


@dataclass(frozen=True)
class Rank:
    """The height of a needed rule, and its rivals.

    Args:
        rule: its index among all rules.
        height: what it adds to the logit of its token, in units.
        rivals: the later rules, by their index among the ranked ones, that overlap it and predict
            something else.
        has_veto: whether no rival may fire where it does.
        squares: where it is the first to fire, no sum of squares of what is added is larger, over all
            tokens.
    """

    rule: int
    height: int
    rivals: tuple[int, ...]
    has_veto: bool
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
        alone: whether no two rules may add anything at once, not even of the same answer.
        most_squares: a rule gets a veto too where `Rank.squares` would be larger without.
    """
    otherwise = rules[-1].answer if rules and rules[-1].is_otherwise else None
    index = OverlapIndex()
    heights: dict[int, int] = {}
    rivals: dict[int, list[int]] = {}
    squares: dict[int, int] = {}
    vetoes: set[int] = set()

    def added(by: Iterable[int]) -> dict[int, int]:
        """The most that some rules together add to the logit of each token."""
        total: defaultdict[int, int] = defaultdict(int)
        for j in by:
            for token in rules[j].tokens:
                total[token] += heights[j]
        return total

    for i in reversed(range(len(rules))):
        rule = rules[i]
        together = sorted(index.overlapping(rule.pattern))
        others = [j for j in together if alone or rules[j].answer != rule.answer]
        if not others and rule.answer == otherwise and not rule.is_otherwise:
            continue
        own = rule.tokens if len(rule.tokens) == 1 else frozenset()
        against = (n for token, n in added(others).items() if token not in own)
        rivals[i], heights[i] = others, 1 + max(against, default=0)
        squares[i] = _squares(added((i, *together)))
        if others and (heights[i] > highest or squares[i] > most_squares):
            vetoes.add(i)
            heights[i] = 1
            squares[i] = _squares(added((i, *set(together).difference(others))))
        index.add(i, rule.pattern)
    kept = sorted(heights)
    place = {i: number for number, i in enumerate(kept)}
    return tuple(
        Rank(i, heights[i], tuple(place[j] for j in rivals[i]), i in vetoes, squares[i]) for i in kept
    )


def _squares(added: Mapping[int, int]) -> int:
    return sum(n * n for n in added.values())


@dataclass(frozen=True)
class RankedRule:
    """A needed clause, and the rules that it must outweigh.

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
    rules = [Contender(c.pattern, c.token, frozenset({c.token}), c.is_otherwise) for c in clauses]
    return tuple(RankedRule(clauses[r.rule], r.height, r.rivals) for r in rank(rules))
