"""What a state of an automaton is made of: all ways of having matched what was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from handcraft.language.regular.tree import Node


class Frame(NamedTuple):
    """What is left of an expression: a node, and behind it another frame.

    Args:
        node: what comes next; None at the end.
        least: how often it must still be there, if it is repeated.
        most: how often it may; None for any number of times.
        rest: the number of the frame behind it.
    """

    node: Node | None
    least: int
    most: int | None
    rest: int


class Limit(NamedTuple):
    """What may come next: letters of some kinds, or the end of the text.

    Args:
        kinds: of letters, as bits.
        at_end: whether the text may end here.
        is_last: whether that letter ends the text.
    """

    kinds: int
    at_end: bool
    is_last: bool


class Owed(NamedTuple):
    """A lookahead that is not decided yet: a state that must match in the end, or must not."""

    state: int
    negated: bool


Groups = frozenset[tuple[int, bool, tuple[int, ...]]]
"""The text of groups, by their number: whether one is still open, and the places of its letters."""

NO_GROUPS: Groups = frozenset()


class Thread(NamedTuple):
    """One way of having matched what was read."""

    frame: int
    limit: Limit
    groups: Groups
    owed: frozenset[Owed]

    def at(self, frame: int) -> Thread:
        """The same with something else left of the expression."""
        return Thread(frame, self.limit, self.groups, self.owed)


class Head(NamedTuple):
    """A thread in front of a letter: the kinds that it takes, and what it becomes."""

    kinds: int
    after: Thread


@dataclass
class State:
    """Where threads have come to.

    Args:
        heads: those in front of a letter of several kinds.
        narrow: for each kind those in front of a letter of that kind alone.
        is_final: whether the text may end here.
        is_certain: whether every longer text matches.
        steps: the states that are known to follow, for each kind.
    """

    heads: list[Head] = field(default_factory=list)
    narrow: dict[int, list[Head]] = field(default_factory=dict)
    is_final: bool = False
    is_certain: bool = False
    steps: dict[int, int] = field(default_factory=dict)
