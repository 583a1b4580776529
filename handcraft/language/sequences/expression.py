"""Expressions as a user writes them: a value at every position of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Listed
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from handcraft.errors import DomainError, ProgramError
from handcraft.language.sequences import look, pointwise
from handcraft.language.sequences.domain import Domain, Value, as_number, plain_value, show_value
from handcraft.language.sequences.interpret import interpret
from handcraft.language.sequences.node import Comparison, How, Node, Sources, enclosed
from handcraft.origin import caller_place

if TYPE_CHECKING:
    from handcraft.language.sequences.prompts import Prompts

Operand: TypeAlias = "Expression | str | int | float | bool | Fraction"


class _Missing:
    """Stands for a default that nobody gave."""

    def __repr__(self) -> str:
        return "<no default>"


NONE = _Missing()


class Expression:
    """A value at every position of a text.

    Expressions are made from `Prompts.token` and `Prompts.position` by operators and methods. Comparing
    two gives a third: a flag at every position.

    Args:
        prompts: the texts that it speaks about.
        node: the tree behind it.
    """

    __hash__ = object.__hash__

    def __init__(self, prompts: Prompts, node: Node) -> None:
        self.prompts = prompts
        self.node = node

    @property
    def domain(self) -> Domain:
        """The values that it can have."""
        return self.node.domain

    def __str__(self) -> str:
        return self.node.text

    def __repr__(self) -> str:
        return f"<{self.node.domain.kind.value}: {self.node.text}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def __bool__(self) -> bool:
        raise DomainError(
            f"`{self}` has a value at every position, so it is neither true nor false",
            where=caller_place(1),
            fix="use & | ~ for and, or, not; where(c, x, y) for a choice",
        )

    def __iter__(self) -> Any:
        raise DomainError(
            f"`{self}` has no elements before there is a text",
            where=caller_place(1),
            fix="use .trace(text) for its values",
        )

    def trace(self, text: str | Listed[str]) -> tuple[Value, ...]:
        """The value at every position of a text: what the expression means.

        Args:
            text: text or tokens, at most as many as the context.

        Raises:
            VocabularyError: an unknown token.
            ProgramError: no token, too many, or a text that breaks an assumption.
        """
        return trace(self.prompts, self.node, text)

    # pointwise

    def map(self, function: Callable[[Any], object] | Mapping[Any, object]) -> Expression:
        """A function of the value, or a table with a row for each.

        Raises:
            DomainError: the table has holes, the function fails, or there are too many values.
        """
        node = pointwise.lookup(
            function, (self.node,), f"{enclosed(self.node, 8)}.map({_named(function)})"
        )
        return self._new(node)

    def assume(self, values: Iterable[object]) -> Expression:
        """Promise that on every legal prompt the value is one of these.

        Nothing is checked here; `verify` looks for a legal prompt that breaks it.
        """
        listed = list(values)
        return self._new(
            pointwise.assume(self.node, listed, f"{enclosed(self.node, 8)}.assume({_shown(listed)})")
        )

    def __add__(self, other: Operand) -> Expression:
        return self._new(pointwise.add(self.node, self._node(other), 1))

    def __radd__(self, other: Operand) -> Expression:
        return self._new(pointwise.add(self._node(other), self.node, 1))

    def __sub__(self, other: Operand) -> Expression:
        return self._new(pointwise.add(self.node, self._node(other), -1))

    def __rsub__(self, other: Operand) -> Expression:
        return self._new(pointwise.add(self._node(other), self.node, -1))

    def __mul__(self, other: Operand) -> Expression:
        return self._new(pointwise.multiply(self.node, self._node(other)))

    def __rmul__(self, other: Operand) -> Expression:
        return self._new(pointwise.multiply(self._node(other), self.node))

    def __truediv__(self, other: Operand) -> Expression:
        return self._new(pointwise.divide(self.node, self._node(other)))

    def __rtruediv__(self, other: Operand) -> Expression:
        return self._new(pointwise.divide(self._node(other), self.node))

    def __floordiv__(self, other: Operand) -> Expression:
        return self._new(pointwise.remainder(self.node, self._node(other), whole=True))

    def __mod__(self, other: Operand) -> Expression:
        return self._new(pointwise.remainder(self.node, self._node(other), whole=False))

    def __neg__(self) -> Expression:
        return self._new(pointwise.linear([(-1, self.node)], 0, f"-{enclosed(self.node, 6)}", 7))

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return self._compare(other, Comparison.EQ)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return self._compare(other, Comparison.NEQ)

    def __lt__(self, other: Operand) -> Expression:
        return self._compare(other, Comparison.LT)

    def __le__(self, other: Operand) -> Expression:
        return self._compare(other, Comparison.LEQ)

    def __gt__(self, other: Operand) -> Expression:
        return self._compare(other, Comparison.GT)

    def __ge__(self, other: Operand) -> Expression:
        return self._compare(other, Comparison.GEQ)

    def __and__(self, other: Operand) -> Expression:
        return self._new(pointwise.both(self.node, self._node(other)))

    def __or__(self, other: Operand) -> Expression:
        return self._new(pointwise.either(self.node, self._node(other)))

    def __invert__(self) -> Expression:
        return self._new(pointwise.invert(self.node))

    # look back

    def at(self, offset: int, default: object = NONE) -> Expression:
        """The value at another position: `offset` is -1 for the one before this.

        Args:
            offset: how far away; positive only where the prompts are not causal.
            default: the value where there is no such position.

        Raises:
            DomainError: no default, or one that is no value of this; a later position in a causal
                program.
        """
        _check_offset(offset, self)
        given = default is not NONE
        ending = f", default={_one(default)}" if given else ""
        text = f"{enclosed(self.node, 8)}.at({offset}{ending})"
        if offset > 0 and self.prompts.causal:
            raise DomainError(
                f"`{text}` looks {offset} ahead, which a causal model never sees",
                where=caller_place(1),
                fix="look back, or declare Prompts(..., causal=False)",
            )
        position = self.prompts.position
        sources = look.matching(position.node, (position + offset).node, Comparison.EQ, text)
        return self._aggregate(sources, "latest", default, text)

    def at_position(self, place: int, default: object = NONE) -> Expression:
        """The value at one fixed position, counted from 0.

        Args:
            place: which position.
            default: the value where that position is not seen, or not there.
        """
        _check_offset(place, self)
        if not 0 <= place < self.prompts.context:
            raise DomainError(
                f"`{self}` has no position {place}: the context is {self.prompts.context}",
                where=caller_place(1),
                fix=f"use a position from 0 to {self.prompts.context - 1}",
            )
        ending = "" if default is NONE else f", default={_one(default)}"
        text = f"{enclosed(self.node, 8)}.at_position({place}{ending})"
        position = self.prompts.position
        sources = look.matching(position.node, self.prompts.constant(place).node, Comparison.EQ, text)
        return self._aggregate(sources, "latest", default, text)

    def _aggregate(self, sources: Sources, how: How, default: object, text: str) -> Expression:
        given = default is not NONE
        node = look.aggregate(
            sources, how, self.node, default if given else None, text, self.prompts.context, given
        )
        return self._new(node)

    def _compare(self, other: object, comparison: Comparison) -> Expression:
        return self._new(pointwise.compare(self.node, self._node(other), comparison))

    def _node(self, other: object) -> Node:
        if isinstance(other, Expression):
            check_same(self.prompts, other)
            return other.node
        return pointwise.constant(other)

    def _new(self, node: Node) -> Expression:
        return Expression(self.prompts, replace(node, place=caller_place(2)))


@dataclass(frozen=True, eq=False)
class Selection:
    """Which source positions every destination selects; made by `select`.

    Selections combine with ``&``, ``|`` and ``~``.
    """

    prompts: Prompts
    sources: Sources

    def __str__(self) -> str:
        return self.sources.text

    def __and__(self, other: Selection) -> Selection:
        return self._with(look.intersection, other)

    def __or__(self, other: Selection) -> Selection:
        return self._with(look.union, other)

    def __invert__(self) -> Selection:
        return Selection(self.prompts, look.complement(self.sources))

    def mean(self, value: Expression, default: object = NONE) -> Expression:
        """The mean of a number over the selected positions; a flag counts as 0 or 1."""
        return self._learn("mean", value, default)

    def latest(self, value: Expression, default: object = NONE) -> Expression:
        """The value at the latest selected position."""
        return self._learn("latest", value, default)

    def earliest(self, value: Expression, default: object = NONE) -> Expression:
        """The value at the earliest selected position."""
        return self._learn("earliest", value, default)

    def count(self) -> Expression:
        """How many positions are selected."""
        return self._learn("count", None, NONE)

    def exists(self) -> Expression:
        """Whether any position is selected."""
        return self._learn("exists", None, NONE)

    def _learn(self, how: How, value: Expression | None, default: object) -> Expression:
        given = default is not NONE
        if value is not None:
            check_same(self.prompts, value)
        inside = "" if value is None else str(value)
        inside += f", default={_one(default)}" if given else ""
        receiver = self.sources.text if self.sources.binding > 8 else f"({self.sources.text})"
        node = look.aggregate(
            self.sources,
            how,
            None if value is None else value.node,
            default if given else None,
            f"{receiver}.{how}({inside})",
            self.prompts.context,
            given,
        )
        return Expression(self.prompts, replace(node, place=caller_place(2)))

    def _with(self, combine: Callable[[Sources, Sources], Sources], other: Selection) -> Selection:
        if other.prompts is not self.prompts:
            raise _mixed(str(self), str(other))
        return Selection(self.prompts, combine(self.sources, other.sources))


def select(
    key: Expression,
    query: Operand,
    relation: str | Comparison | Callable[[Any, Any], bool] = Comparison.EQ,
) -> Selection:
    """The source positions whose `key` stands in a relation to the `query` at the destination.

    Args:
        key: read at the source.
        query: read at the destination; a plain value is the same everywhere.
        relation: ``"=="``, ``"!="``, ``"<"``, ``"<="``, ``">"``, ``">="``, always key first; or a
            function of a key and a query.

    Raises:
        DomainError: the two cannot be compared.

    >>> from handcraft import Prompts
    >>> token = Prompts("ab", context=5).token
    >>> select(token, token).count().trace("abaa")
    (1, 1, 2, 3)
    """
    node = key._node(query)
    named = relation.value if isinstance(relation, Comparison) else relation
    ending = "" if named == "==" else f", {named!r}" if isinstance(named, str) else f", {_named(named)}"
    text = f"select({key}, {node}{ending})"
    return Selection(key.prompts, look.matching(key.node, node, relation, text))


def where(condition: Expression, yes: Operand, no: Operand) -> Expression:
    """One of two values at every position, by a flag."""
    node = pointwise.where(condition.node, condition._node(yes), condition._node(no))
    return Expression(condition.prompts, replace(node, place=caller_place(1)))


def lookup(
    function: Callable[..., object] | Mapping[Any, object], *arguments: Expression
) -> Expression:
    """A function of several expressions, or a table with a row for each combination of values."""
    first = arguments[0]
    nodes = [first._node(argument) for argument in arguments]
    text = f"lookup({', '.join([_named(function), *map(str, nodes)])})"
    node = pointwise.lookup(function, nodes, text)
    return Expression(first.prompts, replace(node, place=caller_place(1)))


@dataclass(frozen=True)
class Window:
    """The last few positions, this one among them."""

    length: int

    def mean(self, value: Expression) -> Expression:
        """The mean of a number over the window; over what there is of it near the beginning."""
        position = value.prompts.position.node
        after = (value.prompts.position - self.length).node
        text = f"window({self.length})"
        recent = look.matching(position, after, Comparison.GT, text)
        seen = look.matching(position, position, Comparison.LEQ, text)
        both = replace(look.intersection(recent, seen), text=text, binding=9)
        node = look.aggregate(
            both, "mean", value.node, None, f"{text}.mean({value})", value.prompts.context, False
        )
        return Expression(value.prompts, replace(node, place=caller_place(1)))


def window(length: int) -> Window:
    """The last `length` positions, this one among them.

    Raises:
        DomainError: the length is not at least 1.
    """
    if not isinstance(length, int) or length < 1:
        raise DomainError(
            f"a window of {length!r} positions", where=caller_place(1), fix="use 1 or more"
        )
    return Window(length)


def weighted(value: Expression, weights: Mapping[int, float], default: float = 0) -> Expression:
    """A weighted sum of a number here and at other positions.

    Args:
        value: a number.
        weights: for each offset, 0 for this position and -1 for the one before, its weight.
        default: the number where there is no such position.
    """
    terms = []
    for offset, weight in weights.items():
        there = value if offset == 0 else value.at(offset, default)
        terms.append((as_number(plain_value(weight)), there.node))
    text = f"weighted({value}, {dict(weights)})"
    node = pointwise.linear(terms, 0, text, 9)
    return Expression(value.prompts, replace(node, place=caller_place(1)))


def trace(prompts: Prompts, node: Node, text: str | Listed[str]) -> tuple[Value, ...]:
    """The value of a node at every position of a text."""
    ids = prompts.vocabulary.ids(text)
    if not 0 < len(ids) <= prompts.context:
        raise ProgramError(
            f"a text of {len(ids)} tokens for a context of {prompts.context}",
            fix=f"give 1 to {prompts.context} tokens",
        )
    tokens = [prompts.vocabulary.token(i) for i in ids]
    return interpret([node], tokens, causal=prompts.causal)[0]


def check_same(prompts: Prompts, other: Expression) -> None:
    """Raise unless the expression speaks about these prompts.

    Raises:
        ProgramError: it belongs to another program.
    """
    if other.prompts is not prompts:
        raise ProgramError(
            f"`{other}` speaks about other prompts: {_described(other.prompts)}, not "
            f"{_described(prompts)}",
            where=caller_place(3),
            fix="make all expressions of a program from one Prompts",
        )


def _mixed(one: str, other: str) -> ProgramError:
    return ProgramError(
        f"`{one}` and `{other}` speak about different prompts",
        where=caller_place(3),
        fix="make all expressions of a program from one Prompts",
    )


def _described(prompts: Prompts) -> str:
    made = prompts.place.short if prompts.place else "?"
    return f"those of {made}"


def _check_offset(offset: object, value: Expression) -> None:
    if not isinstance(offset, int) or isinstance(offset, bool):
        raise DomainError(
            f"`{value}` at {offset!r}, of type {type(offset).__name__}",
            where=caller_place(2),
            fix="give a whole number of positions; for a computed one use select(position, ...)",
        )


def _named(function: object) -> str:
    """A function by its name, a table as it is."""
    if isinstance(function, Mapping):
        return _shown_table(function)
    name = getattr(function, "__name__", type(function).__name__)
    return "lambda ..." if name == "<lambda>" else name


def _shown_table(table: Mapping[Any, object]) -> str:
    items = [f"{_one(key)}: {_one(value)}" for key, value in table.items()]
    return "{" + ", ".join(items if len(items) <= 6 else [*items[:5], f"{len(items) - 5} more"]) + "}"


def _shown(values: Listed[object]) -> str:
    words = [_one(value) for value in values]
    return "[" + ", ".join(words if len(words) <= 6 else [*words[:5], f"{len(words) - 5} more"]) + "]"


def _one(value: object) -> str:
    return show_value(plain_value(value))
