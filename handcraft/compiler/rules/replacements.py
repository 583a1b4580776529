"""Where each rule replaces the answer of the rules after it, and what it replaces.

Rules are applied from the last to the first, and each that matches replaces the current answer, so the
answer of the first match remains. To replace an answer it must be known. So the contexts of a rule are
split into regions, in each of which one of the later rules is the first to match:

    predict c after ab        replaces b after ab, in whose place it stands
    predict b after [ab]b     replaces a after ab and after bb
    predict a otherwise

If patterns are disjoint, or one includes the other as a bigram includes the trigrams that end in it, a
rule is one region for every answer that it replaces. Patterns that overlap otherwise are split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handcraft.compiler.rules.overlap import OverlapIndex
from handcraft.compiler.rules.positions import Span
from handcraft.compiler.rules.regions import Class, Region
from handcraft.errors import CompileError
from handcraft.language.rule import Clause

MOST_REGIONS = 4096
"""The most regions of one rule; beyond that, rules overlap too much."""


@dataclass(frozen=True)
class Replacement:
    """A region in which a rule replaces the answer of the later ones.

    Args:
        number: which rule, counted from 1 among those that can win.
        clause: the rule.
        region: the contexts, all of which match it.
        before: the token that the first later match predicts there, which differs from the rule's.
    """

    number: int
    clause: Clause
    region: Region
    before: int


def find_replacements(clauses: Sequence[Clause], size: int, context: int) -> list[Replacement]:
    """The replacements of all rules but the last, which is applied first and everywhere.

    With the last rule's token as the first answer, replacing in this order leaves the token of the
    first match, and after each step that of the first match among the rules so far.

    Args:
        clauses: in the order in which they are tried; they cover every context.
        size: how many tokens there are.
        context: how many tokens the longest context has.

    Returns:
        In order, those of the last rules first.

    Raises:
        CompileError: a rule overlaps others in too many ways.
    """
    *conditional, last = clauses
    everything = frozenset(range(size))
    anywhere = Region((), Span(0)), last.token
    index = OverlapIndex()
    known: dict[int, tuple[Region, int]] = {}
    found: list[Replacement] = []
    for number in reversed(range(len(conditional))):
        clause = conditional[number]
        region = Region.of(clause.pattern, context)
        later = [known[other] for other in sorted(index.overlapping(clause.pattern))]
        pieces = list(_pieces(clause, region, [*later, anywhere], everything))
        if pieces:  # else it changes nothing, neither here nor for the rules before it
            index.add(number, clause.pattern)
            known[number] = region, clause.token
        found += [Replacement(number + 1, clause, piece, before) for piece, before in pieces]
    return found


def _pieces(
    clause: Clause, region: Region, later: Sequence[tuple[Region, int]], everything: Class
) -> Iterator[tuple[Region, int]]:
    """The regions of a rule by the token that the first later match predicts, if it is another one."""
    waiting = [region]
    for other, token in later:
        left: list[Region] = []
        for each in waiting:
            inside = each & other
            if inside is not None and token != clause.token:
                yield inside, token
            left += each.without(other, everything)
        if len(left) > MOST_REGIONS:
            raise CompileError(
                f"`{clause.rule}` overlaps {len(later) - 1} later rules, which takes more than "
                f"{MOST_REGIONS:,} conditions to distinguish where tokens are encoded as bits",
                where=clause.rule.place,
                fix="write patterns that overlap less, or encode tokens one-hot",
            )
        waiting = left
