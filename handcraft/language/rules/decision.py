"""Decisions: rules as expressions, each a flag that says when and an answer that says what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import cast

from handcraft.display import short_repr
from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.domain import FLAGS, Finite, Kind, finite
from handcraft.language.graph.members import Members
from handcraft.language.graph.node import AtLeast, Comparison, Linear, Lookup, Node, walk
from handcraft.language.graph.wording import enclosed, listed_in, reads, show_some
from handcraft.language.oracle.interpret import interpret_in
from handcraft.language.patterns.pattern import Pattern
from handcraft.language.rules.distribution import Distribution
from handcraft.language.rules.read_rules import Parsed
from handcraft.language.rules.rule import Rule
from handcraft.language.rules.rules_on_texts import nodes_of
from handcraft.language.sequences import Prompts
from handcraft.origin import Origin, Place

ANYWHERE = Pattern()
"""Matches every context."""

ALWAYS = Finite(Kind.FLAG, (True,))
NEVER = Finite(Kind.FLAG, (False,))


@short_repr
@dataclass(frozen=True, eq=False)
class Decision:
    """What one rule decides, in terms of expressions.

    Args:
        answer: a category whose values are tokens of the vocabulary, or a distribution.
        rule: the rule as written.
        literals: the flags whose conjunction is the condition; none for everywhere.
        pattern: the pattern that the context ends in where the condition is true.
    """

    answer: Node | Distribution
    rule: Rule
    literals: tuple[Node, ...] = ()
    pattern: Pattern = ANYWHERE

    @cached_property
    def condition(self) -> Node | None:
        """A flag, which says where the rule fires if no earlier one does; None for everywhere."""
        return conjunction(self.literals, self.rule.place) if self.literals else None

    @property
    def origin(self) -> Origin:
        """The origin of everything that serves the rule."""
        return self.rule.origin

    @property
    def is_always(self) -> bool:
        """Whether it fires wherever no earlier one does."""
        return not self.literals

    @property
    def is_never(self) -> bool:
        """Whether its condition is never true."""
        return any(literal.domain == NEVER for literal in self.literals)


class Deciding:
    """Turns rules into decisions; a test that several patterns share is one node."""

    def __init__(self, prompts: Prompts) -> None:
        self.prompts = prompts
        self._back: dict[int, Node] = {0: prompts.token.node}
        self._classes: dict[tuple[int, frozenset[int]], Node] = {}
        self._lengths: dict[tuple[int, bool], Node] = {}

    def decide(self, parsed: Parsed) -> Decision:
        """The decision of a rule that fires where its pattern matches and its flag is true."""
        rule, answer, pattern, flag = parsed
        answer = pointwise.constant(answer) if isinstance(answer, str) else answer
        flags = self._pattern_flags(pattern, rule.place)
        if flag is not None:
            flags.append(flag)
        if all(flag.domain == ALWAYS for flag in flags):
            return Decision(answer, rule)
        return Decision(answer, rule, tuple(flags), pattern)

    def _pattern_flags(self, pattern: Pattern, place: Place | None) -> list[Node]:
        """Flags whose conjunction says whether the context ends in the pattern."""
        size = len(self.prompts.vocabulary)
        flags = [
            self._is_in(distance, pattern.backwards(distance), place)
            for distance in reversed(range(len(pattern)))
            if len(pattern.backwards(distance)) < size
        ]
        # A look back past the beginning finds the first token, which both of the first two classes then
        # must allow: where no token is in both, the classes alone prove that the pattern fits.
        if pattern.anchored or (len(pattern) > 1 and pattern.classes[0] & pattern.classes[1]):
            flags.append(self._fits(len(pattern), pattern.anchored, place))
        return flags

    def _fits(self, length: int, anchored: bool, place: Place | None) -> Node:
        """A flag: whether the context has so many tokens, or just as many where it is anchored."""
        if (length, anchored) not in self._lengths:
            position = self.prompts.position
            flag = (position == length - 1 if anchored else position >= length - 1).node
            self._lengths[length, anchored] = flag.called(flag.text, place)
        return self._lengths[length, anchored]

    def _is_in(self, distance: int, allowed: frozenset[int], place: Place | None) -> Node:
        """A flag: whether the token so far back is one of those with these ids."""
        if (distance, allowed) not in self._classes:
            there = self._token_back(distance, place)
            tokens = self.prompts.vocabulary.tokens
            wanted = [tokens[i] for i in sorted(allowed)]
            domain = self.prompts.token.node.domain
            assert isinstance(domain, Finite)
            table = Members(domain, frozenset(wanted))
            shown = show_some([repr(token) for token in wanted])
            test = f" == {shown}" if len(wanted) == 1 else f" in ({shown})"
            text = reads(enclosed(there, 1), test, binding=1)
            flag = Lookup(FLAGS, text, (there,), table, place=place)
            self._classes[distance, allowed] = flag
        return self._classes[distance, allowed]

    def _token_back(self, distance: int, place: Place | None) -> Node:
        """The token so far back, or the first one where that is past the beginning."""
        if distance not in self._back:
            token, position = self.prompts.token, self.prompts.position
            there = position.map(lambda here: max(here - distance, 0))
            text = reads(f"token.at(-{distance})")
            back = there.node.called(reads(f"{distance} back, or the first"), place)
            sources = attend.matching(position.node, back, Comparison.EQ, text)
            context = self.prompts.context
            found = attend.aggregate(sources, "latest", token.node, attend.NONE, text, context)
            self._back[distance] = found.called(text, place)
        return self._back[distance]


def conjunction(flags: Sequence[Node], place: Place | None) -> Node:
    """A flag: the conjunction of some flags. One sum and one threshold, however many they are."""
    if len(flags) == 1:
        return flags[0]
    text = listed_in([enclosed(flag, 3) for flag in flags], " & ", binding=3)
    if all(flag.domain == ALWAYS for flag in flags):
        return pointwise.constant(True)
    terms = tuple((1, flag) for flag in flags)
    holding = Linear(finite(range(len(flags) + 1)), text, terms, 0, place=place)
    known = NEVER if any(flag.domain == NEVER for flag in flags) else FLAGS
    return AtLeast(known, text, holding, len(flags), place=place)


def decided(
    decisions: Iterable[Decision],
    tokens: Sequence[str],
    *,
    causal: bool,
    order: Iterable[Node] | None = None,
) -> list[tuple[Decision, Distribution]]:
    """What is predicted after every position of a text, and which decision says so.

    Raises:
        AssumptionError: the text breaks an assumption.
    """
    known = tuple(decisions)
    values = interpret_in(walk(*nodes_of(known)) if order is None else order, tokens, causal=causal)
    found: list[tuple[Decision, Distribution]] = []
    for place in range(len(tokens)):
        winner = next(d for d in known if d.condition is None or values[d.condition][place])
        answer = winner.answer
        if isinstance(answer, Node):
            answer = {cast("str", values[answer][place]): Fraction(1)}
        found.append((winner, answer))
    return found
