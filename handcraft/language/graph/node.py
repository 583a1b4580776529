"""The nodes of the graph behind expressions.

Nodes are equal where they are made of the same parts, whatever they are called and wherever they were
written: a node is a key of dictionaries, and what is equal is computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from operator import eq, ge, gt, le, lt, ne
from threading import Lock
from typing import Any, Literal, Self, TypeAlias
from weakref import WeakValueDictionary

from handcraft.language.graph.domain import Domain, Finite, Plain, Value, as_number
from handcraft.language.graph.members import rows_hash
from handcraft.language.graph.wording import Wording, enclosed, listed_in, reads
from handcraft.origin import Origin, Place


class Identity:
    """Stands for everything made of certain parts; equal only to itself."""

    __slots__ = ("__weakref__",)


_known: WeakValueDictionary[Hashable, Identity] = WeakValueDictionary()
"""Identities by their parts. An entry lasts as long as its identity, which keeps those of its parts."""

_making = Lock()


def identity_of(made_of: Hashable) -> Identity:
    """The identity of what is made of some parts.

    >>> kept = identity_of(("sum", 1, 2))
    >>> identity_of(("sum", 1, 2)) is kept
    True
    """
    with _making:
        return _known.setdefault(made_of, Identity())


class Rows:
    """The rows of a table as a part: equal where the tables are, and hashed once."""

    __slots__ = ("_hash", "table")

    def __init__(self, table: Mapping[Any, Hashable]) -> None:
        self.table = table
        self._hash = rows_hash(table)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and (self.table is other.table or self.table == other.table)


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """One expression: a value at every position.

    Not an `ABC`, whose `isinstance` takes ten times as long: passes test each node many times.

    Args:
        domain: the values it can have.
        text: how it reads in a program.
        place: where it was written.
        identity: what it is, without its text and its place.
    """

    domain: Domain
    text: Wording
    place: Place | None = field(default=None, kw_only=True)
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        grid = self.domain.grid if isinstance(self.domain, Finite) else None
        made_of = (type(self), self.domain, grid, self.made_of)
        object.__setattr__(self, "identity", identity_of(made_of))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.identity is other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __str__(self) -> str:
        return str(self.text)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    @property
    def made_of(self) -> Hashable:
        """What decides its value, besides its domain: the identities of its children, and the rest."""
        return tuple([part.identity if isinstance(part, Node) else part for part in self._parts])

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return tuple([part for part in self._parts if isinstance(part, Node)])

    @property
    def _parts(self) -> list[Any]:
        """The fields that nodes of its kind have besides those of every node."""
        known = Node.__dataclass_fields__
        return [getattr(self, name) for name in self.__dataclass_fields__ if name not in known]

    @property
    def origin(self) -> Origin:
        """The origin of everything that serves it."""
        return Origin(str(self), self.place)

    def called(self, text: Wording, place: Place | None) -> Self:
        """The same node under another text, or from another place."""
        other = copy(self)
        object.__setattr__(other, "text", text)
        object.__setattr__(other, "place", place)
        return other


@dataclass(frozen=True, eq=False, repr=False)
class Embedded(Node):
    """The token or the position itself."""

    of: Literal["token", "position"]


@dataclass(frozen=True, eq=False, repr=False)
class Constant(Node):
    """The same value everywhere."""

    value: Value


@dataclass(frozen=True, eq=False, repr=False)
class Lookup(Node):
    """A table over the values of some expressions at the same position."""

    arguments: tuple[Node, ...]
    table: Mapping[tuple[Value, ...], Value]

    @property
    def made_of(self) -> Hashable:
        """The arguments, and the rows of the table."""
        return tuple([argument.identity for argument in self.arguments]), Rows(self.table)

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """The arguments."""
        return self.arguments


@dataclass(frozen=True, eq=False, repr=False)
class Linear(Node):
    """A weighted sum of numbers, and a constant. Flags count as 0 and 1."""

    terms: tuple[tuple[Plain, Node], ...]
    constant: Plain

    @property
    def made_of(self) -> Hashable:
        """What decides its value: terms count in any order, and as often as they are there."""
        counted = Counter((factor, node.identity) for factor, node in self.terms)
        return frozenset(counted.items()), self.constant

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return tuple(node for _, node in self.terms)


@dataclass(frozen=True, eq=False, repr=False)
class AtLeast(Node):
    """Whether a number reaches a bound."""

    number: Node
    bound: Plain


@dataclass(frozen=True, eq=False, repr=False)
class Choice(Node):
    """One of two numbers, by a flag; for numbers too many for a table."""

    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, eq=False, repr=False)
class Assumed(Node):
    """A value that the program promises to be in `domain` on every allowed prompt."""

    value: Node

    @property
    def made_of(self) -> Hashable:
        """The value, and what is promised of it."""
        return self.value.identity, self.domain


class Comparison(Enum):
    """How a key is compared with a query: key first."""

    EQ = "=="
    NEQ = "!="
    LT = "<"
    LEQ = "<="
    GT = ">"
    GEQ = ">="

    def holds(self, key: Value, query: Value) -> bool:
        """Whether the comparison is true of two values."""
        if self not in (Comparison.EQ, Comparison.NEQ):
            key, query = as_number(key), as_number(query)
        return bool(COMPARED[self](key, query))

    @property
    def opposite(self) -> Comparison:
        """The negation of this comparison."""
        return Comparison(
            {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}[self.value]
        )


COMPARED: Mapping[Comparison, Callable[[Any, Any], Any]] = dict(
    zip(Comparison, (eq, ne, lt, le, gt, ge), strict=True)
)
"""Each comparison as a function of two values or, element by element, of two arrays."""

Pairs: TypeAlias = frozenset[tuple[Value, Value]]


@dataclass(frozen=True)
class Match:
    """A condition on a pair of positions.

    Args:
        key: read at the source position.
        query: read at the destination position.
        relation: a comparison, or the set of pairs (key, query) that satisfy the condition.
    """

    key: Node
    query: Node
    relation: Comparison | Pairs

    def holds(self, key: Value, query: Value) -> bool:
        """Whether it is true of two values."""
        if isinstance(self.relation, Comparison):
            return self.relation.holds(key, query)
        return (key, query) in self.relation


Case: TypeAlias = tuple[Match, ...]
"""A conjunction of conditions; the empty one is true of every pair."""


CASE_WIDTH = 80
"""How many characters of conditions are in their label."""


def case_label(case: Case) -> str:
    """How conditions read, as the label of the head that attends by them."""
    conditions = [
        reads(
            enclosed(m.key, 3),
            f" {m.relation.value if isinstance(m.relation, Comparison) else 'matches'} ",
            enclosed(m.query, 4),
        )
        for m in case
    ]
    return listed_in(conditions, " and ").within(CASE_WIDTH) or "everything"


def case_key(case: Case) -> Hashable:
    """What conditions say: two cases with the same key select the same sources."""
    counted = Counter((m.key.identity, m.query.identity, m.relation) for m in case)
    return frozenset(counted.items())


@dataclass(frozen=True, eq=False, repr=False)
class Sources:
    """The source positions that a destination selects, of those that it sees.

    Args:
        cases: a pair is selected if one of these is true; no two are ever true of the same pair.
        text: how it reads in a program.
        always: whether every destination selects at least one source, whatever the prompt.
    """

    cases: tuple[Case, ...]
    text: Wording
    always: bool

    def __str__(self) -> str:
        return str(self.text)

    @cached_property
    def identity(self) -> Identity:
        """What it selects, without its text."""
        return identity_of(("sources", tuple(map(case_key, self.cases))))

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """What keys and queries are computed from."""
        nodes = [node for case in self.cases for match in case for node in (match.key, match.query)]
        return tuple(dict.fromkeys(nodes))

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


@dataclass(frozen=True, eq=False, repr=False)
class Aggregate(Node):
    """An aggregate of the positions that a destination selects.

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
    def made_of(self) -> Hashable:
        """The parts that determine its value."""
        cases = tuple(map(case_key, self.sources.cases))
        value = None if self.value is None else self.value.identity
        return cases, self.how, value, self.default

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        return (*self.sources.children, *(() if self.value is None else (self.value,)))


def is_token(node: object) -> bool:
    """Whether it is the token itself, whatever it is called."""
    return isinstance(node, Embedded) and node.of == "token"


def is_position(node: object) -> bool:
    """Whether it is the position itself, whatever it is called."""
    return isinstance(node, Embedded) and node.of == "position"


def walk(*roots: Node, down_to: Container[Node] = ()) -> Iterator[Node]:
    """Every node once, those that are computed first before those that read them.

    Args:
        roots: where to begin.
        down_to: nodes at which to stop; these are left out, and so is what only they read.
    """
    seen: set[Node] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, done = stack.pop()
        if done:
            yield node
        elif node not in seen and node not in down_to:
            seen.add(node)
            children = node.children
            if children:
                stack.append((node, True))
                stack += [(child, False) for child in reversed(children)]
            else:
                yield node
