"""The tree of a regular expression, once every class of letters is known.

Equal nodes are one object, and are compared as such. Groups are kept only if something refers to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

NO_GROUPS: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Node:
    """A part of a regular expression.

    Args:
        needs: the groups whose text it reads before it captures them itself.
        captures: the groups that it has captured once it has matched, in whichever way.
        can_be_empty: whether it matches the empty text at every place.
    """

    needs: frozenset[int] = field(default=NO_GROUPS, kw_only=True)
    captures: frozenset[int] = field(default=NO_GROUPS, kw_only=True)
    can_be_empty: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, eq=False)
class Letter(Node):
    """One letter of a set, which `Letters` knows by its number."""

    letters: int


@dataclass(frozen=True, eq=False)
class Sequence(Node):
    """One after the other."""

    items: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Choice(Node):
    """One of several."""

    branches: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Repeat(Node):
    """The same several times; `most` is None where there is no end to it."""

    item: Node
    least: int
    most: int | None


@dataclass(frozen=True, eq=False)
class Behind(Node):
    """The letter before this place is one of a set; or this is where the text begins, if `at_start`."""

    letters: int
    at_start: bool


@dataclass(frozen=True, eq=False)
class Next(Node):
    """The letter after this place is one of a set, or the text ends here, if `at_end`."""

    letters: int
    at_end: bool
    is_last: bool = False


@dataclass(frozen=True, eq=False)
class Ahead(Node):
    """What follows this place begins with a match; or does not, if `negated`."""

    item: Node
    negated: bool


@dataclass(frozen=True, eq=False)
class Capture(Node):
    """A group that something refers to; its text is kept if `keeps_text`, else that it matched."""

    group: int
    item: Node
    end: Captured
    keeps_text: bool


@dataclass(frozen=True, eq=False)
class Captured(Node):
    """Where a group ends."""

    group: int


@dataclass(frozen=True, eq=False)
class Again(Node):
    """The text of a group again: for each letter, by its place, those that are the same."""

    group: int
    same: tuple[Letter, ...]


@dataclass(frozen=True, eq=False)
class IfCaptured(Node):
    """One of two, by whether a group has matched."""

    group: int
    then: Node
    otherwise: Node


def sequence(items: list[Node]) -> Node:
    """Nodes one after the other, as one."""
    if len(items) == 1:
        return items[0]
    needs, captures = NO_GROUPS, NO_GROUPS
    for item in items:
        needs |= item.needs - captures
        captures |= item.captures
    empty = all(item.can_be_empty for item in items)
    return Sequence(tuple(items), needs=needs, captures=captures, can_be_empty=empty)


def choice(branches: list[Node]) -> Node:
    """One of several nodes, as one."""
    return Choice(
        tuple(branches),
        needs=NO_GROUPS.union(*(branch.needs for branch in branches)),
        captures=branches[0].captures.intersection(*(branch.captures for branch in branches)),
        can_be_empty=any(branch.can_be_empty for branch in branches),
    )


def repeat(item: Node, least: int, most: int | None) -> Node:
    """A node so many times; where it can be empty, it may as well be there less often."""
    return Repeat(
        item,
        0 if item.can_be_empty else least,
        most,
        needs=item.needs,
        captures=item.captures if least else NO_GROUPS,
        can_be_empty=least == 0 or item.can_be_empty,
    )


class Frame(NamedTuple):
    """What is left of an expression: a node, and after it another frame.

    Args:
        node: what comes next; None at the end.
        least: how often it must still be there, if it is repeated.
        most: how often it may; None for any number of times.
        rest: the number of the frame after it.
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

NO_TEXTS: Groups = frozenset()


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
    """The state of all threads after a text.

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
