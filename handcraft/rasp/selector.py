"""Selectors: which source positions every destination selects."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any

from handcraft.errors import DomainError
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import COMPARED
from handcraft.language.graph.wording import Wording, reads
from handcraft.language.sequences import Comparison as Compared
from handcraft.language.written.written_place import written_place
from handcraft.rasp.rasp_node import Node, Text, apply, name_of, walk
from handcraft.rasp.sequence import SOp, as_sequence, check_function


class Comparison(Enum):
    """How a key is compared with a query: key first."""

    EQ = "=="
    NEQ = "!="
    LT = "<"
    LEQ = "<="
    GT = ">"
    GEQ = ">="
    TRUE = "True"
    FALSE = "False"

    def __call__(self, key: Any, query: Any) -> bool:
        """Whether it is true of two values; it never is if one of them is None, no value."""
        if key is None or query is None:
            return False
        if self in (Comparison.TRUE, Comparison.FALSE):
            return self is Comparison.TRUE
        return bool(COMPARED[Compared(self.value)](key, query))

    @property
    def opposite(self) -> Comparison:
        """The negation of this comparison."""
        if self in (Comparison.TRUE, Comparison.FALSE):
            return Comparison.FALSE if self is Comparison.TRUE else Comparison.TRUE
        return Comparison(Compared(self.value).opposite.value)


@dataclass(frozen=True)
class Negated:
    """A function that answers the opposite."""

    f: Callable[[Any, Any], object]

    @property
    def __name__(self) -> str:
        return f"not {name_of(self.f)}"

    def __call__(self, key: Any, query: Any) -> bool:
        """The negated result of the function."""
        return not self.f(key, query)


class Selector(Node):
    """For every destination position the source positions that it selects.

    Its meaning is one number for every destination: bit j says whether source j is selected.
    """

    def __and__(self, other: Selector) -> Selector:
        return SelectorAnd(self, other)

    def __or__(self, other: Selector) -> Selector:
        return SelectorOr(self, other)

    def __invert__(self) -> Selector:
        """What this does not select; of keys and queries without a value, still nothing.

        Each part is inverted once, those that it is made of before it: selectors may be deep.
        """
        for node in walk(self, turns_back=lambda each: "_opposite" in vars(each)):
            if isinstance(node, Selector):
                _ = node._opposite
        other = replace(self._opposite, place=written_place())
        vars(other)["_opposite"] = self
        return other

    @cached_property
    def _opposite(self) -> Selector:
        """What this does not select, kept; the opposite of that is this again."""
        made = self._inverted()
        vars(made)["_opposite"] = self
        return made

    @abstractmethod
    def _inverted(self) -> Selector:
        """What this does not select, made from the opposites of its parts, written where it is."""

    def _shown(self, found: list[Any]) -> list[Any]:
        return [[bool(row >> there & 1) for there in range(len(found))] for row in found]


@dataclass(frozen=True, eq=False, repr=False)
class Select(Selector):
    """Selects the sources whose key has a relation to the query at the destination.

    A key that has no value is never selected, and a query that has none selects nothing.

    Args:
        keys: read at the source.
        queries: read at the destination.
        predicate: a `Comparison`, or a function of a key and a query.
    """

    keys: SOp
    queries: SOp
    predicate: Callable[[Any, Any], object]

    def __post_init__(self) -> None:
        if not isinstance(self.predicate, Comparison | Negated):
            fix = "use a Comparison, such as Comparison.EQ, or a function of a key and a query"
            check_function(self.predicate, self, fix)
        object.__setattr__(self, "keys", as_sequence(self.keys))
        object.__setattr__(self, "queries", as_sequence(self.queries))
        super().__post_init__()

    def _written(self) -> Wording:
        known = self.predicate
        relation = known.name if isinstance(known, Comparison) else name_of(known)
        return reads("Select(", self.keys.operand(0), ", ", self.queries.operand(0), f", {relation})")

    def _inverted(self) -> Selector:
        relation: Callable[[Any, Any], object]
        match self.predicate:
            case Comparison():
                relation = self.predicate.opposite
            case Negated():
                relation = self.predicate.f
            case _:
                relation = Negated(self.predicate)
        return Select(self.keys, self.queries, relation, place=self.place)

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        keys, queries = children
        return [
            0 if query is None else self._row(keys[: text.seen(here)], query)
            for here, query in enumerate(queries)
        ]

    def _row(self, keys: list[Any], query: Value) -> int:
        return sum(
            1 << there for there, key in enumerate(keys) if key is not None and self.relates(key, query)
        )

    def relates(self, key: Value, query: Value) -> bool:
        """Whether the relation is true of two values.

        Raises:
            DomainError: the two cannot be compared, or the function fails.
        """
        return bool(apply(self.predicate, (key, query), self))


@dataclass(frozen=True, eq=False, repr=False)
class _Combined(Selector):
    """Two selectors together."""

    fst: Selector
    snd: Selector

    def __post_init__(self) -> None:
        for part in (self.fst, self.snd):
            check_selector(part, self)
        super().__post_init__()


class SelectorAnd(_Combined):
    """Selects what both select."""

    def _written(self) -> Wording:
        return reads(self.fst.operand(2), " & ", self.snd.operand(3), binding=3)

    def _inverted(self) -> Selector:
        return SelectorOr(self.fst._opposite, self.snd._opposite, place=self.place)

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        return [one & other for one, other in zip(*children, strict=True)]


class SelectorOr(_Combined):
    """Selects what either selects."""

    def _written(self) -> Wording:
        return reads(self.fst.operand(1), " | ", self.snd.operand(2), binding=2)

    def _inverted(self) -> Selector:
        return SelectorAnd(self.fst._opposite, self.snd._opposite, place=self.place)

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        return [one | other for one, other in zip(*children, strict=True)]


def check_selector(value: object, node: Node) -> None:
    """Raise unless it is a selector.

    Raises:
        DomainError: it is not.
    """
    if not isinstance(value, Selector):
        described = f"`{value}`" if isinstance(value, Node) else repr(value)
        raise DomainError(
            f"{type(node).__name__} takes a selector here, not {described}",
            where=node.place,
            fix="make one with Select(keys, queries, relation)",
        )
