"""The tree of an expression: what is computed from what. Everything below the user's operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from operator import ge, gt, le, lt
from typing import Literal, TypeAlias

from handcraft.language.sequences.domain import Domain, Plain, Value, as_number
from handcraft.origin import Origin, Place


@dataclass(frozen=True, eq=False)
class Node:
    """One expression: a value at every position.

    Args:
        domain: the values it can have.
        text: how it reads in a program.
        binding: how tightly the outermost operator of the text binds; 9 for a name or a call.
        place: where it was written.
    """

    domain: Domain
    text: str
    binding: int = field(default=9, kw_only=True)
    place: Place | None = field(default=None, kw_only=True)

    def __str__(self) -> str:
        return self.text

    @property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return ()

    @property
    def origin(self) -> Origin:
        """The origin of everything that serves it."""
        return Origin(self.text, self.place)


@dataclass(frozen=True, eq=False)
class Embedded(Node):
    """The token or the position itself."""

    of: Literal["token", "position"]


@dataclass(frozen=True, eq=False)
class Constant(Node):
    """The same value everywhere."""

    value: Value


@dataclass(frozen=True, eq=False)
class Lookup(Node):
    """A table over the values of some expressions at the same position.

    Args:
        arguments: the expressions, each with a finite domain.
        table: for every combination of their values, the value.
    """

    arguments: tuple[Node, ...]
    table: Mapping[tuple[Value, ...], Value]

    @property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return self.arguments


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """A weighted sum of numbers, and a constant. Flags count as 0 and 1."""

    terms: tuple[tuple[Plain, Node], ...]
    constant: Plain

    @property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return tuple(node for _, node in self.terms)


@dataclass(frozen=True, eq=False)
class AtLeast(Node):
    """Whether a number reaches a bound."""

    number: Node
    bound: Plain

    @property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return (self.number,)


@dataclass(frozen=True, eq=False)
class Choice(Node):
    """One of two numbers, by a flag; for numbers too many for a table."""

    condition: Node
    yes: Node
    no: Node

    @property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return self.condition, self.yes, self.no


@dataclass(frozen=True, eq=False)
class Assumed(Node):
    """A value of which the program promises that it is one of `domain` on every legal prompt."""

    value: Node

    @property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return (self.value,)


class Comparison(Enum):
    """How a key is compared with a query: key first."""

    EQ = "=="
    NEQ = "!="
    LT = "<"
    LEQ = "<="
    GT = ">"
    GEQ = ">="

    def holds(self, key: Value, query: Value) -> bool:
        """Whether the comparison holds of two values."""
        if self is Comparison.EQ:
            return key == query
        if self is Comparison.NEQ:
            return key != query
        return bool(ORDERS[self.value](as_number(key), as_number(query)))


ORDERS = {"<": lt, "<=": le, ">": gt, ">=": ge}


Pairs: TypeAlias = frozenset[tuple[Value, Value]]


@dataclass(frozen=True, eq=False)
class Match:
    """A condition on a pair of positions.

    Args:
        key: read at the source position.
        query: read at the destination position.
        relation: a comparison, or the pairs (key, query) of which the condition holds.
    """

    key: Node
    query: Node
    relation: Comparison | Pairs

    def holds(self, key: Value, query: Value) -> bool:
        """Whether it holds of two values."""
        if isinstance(self.relation, Comparison):
            return self.relation.holds(key, query)
        return (key, query) in self.relation


Case: TypeAlias = tuple[Match, ...]
"""Conditions that must all hold; none holds of every pair."""


@dataclass(frozen=True, eq=False)
class Sources:
    """The source positions that a destination selects, of those that it sees.

    Args:
        cases: a pair is selected where one of these holds; no two ever hold of the same pair.
        text: how it reads in a program.
        always: whether every destination selects at least one source, whatever the prompt.
    """

    cases: tuple[Case, ...]
    text: str
    always: bool
    binding: int = 9

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """What keys and queries are computed from."""
        nodes = [node for case in self.cases for match in case for node in (match.key, match.query)]
        return tuple({id(node): node for node in nodes}.values())

    def holds(self, values: Callable[[Node, bool], Value]) -> bool:
        """Whether a pair is selected.

        Args:
            values: gives the value of a node at the source, where its second argument is true, or at
                the destination.
        """
        return any(
            all(m.holds(values(m.key, True), values(m.query, False)) for m in case)
            for case in self.cases
        )


How: TypeAlias = Literal["mean", "latest", "earliest", "count", "exists"]


@dataclass(frozen=True, eq=False)
class Aggregate(Node):
    """What a position learns from those that it selects.

    Args:
        sources: which those are.
        how: the mean of a number, its value at the latest or the earliest of them, how many they are,
            or whether there is any.
        value: what is read there; None for a count and for existence.
        default: the value where nothing is selected; None where that cannot be.
    """

    sources: Sources
    how: How
    value: Node | None
    default: Value | None

    @property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return (*self.sources.children, *(() if self.value is None else (self.value,)))


def is_token(node: object) -> bool:
    """Whether it is the token itself, whatever it is called."""
    return isinstance(node, Embedded) and node.of == "token"


def is_position(node: object) -> bool:
    """Whether it is the position itself, whatever it is called."""
    return isinstance(node, Embedded) and node.of == "position"


def walk(*roots: Node, down_to: Iterable[Node] = ()) -> Iterator[Node]:
    """Every node once, those that are computed first before those that read them.

    Args:
        roots: where to begin.
        down_to: where to turn back; these are left out, and so is what only they are computed from.
    """
    seen = set(map(id, down_to))
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, done = stack.pop()
        if done:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(child, False) for child in reversed(node.children)]


def enclosed(node: Node, binding: int) -> str:
    """The text of a node as an operand of an operator that binds as tightly as `binding`."""
    return node.text if node.binding > binding else f"({node.text})"
