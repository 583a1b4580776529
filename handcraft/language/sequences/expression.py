"""Expressions as a user writes them: a value at every position of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Listed
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from handcraft.display import shorten_value
from handcraft.errors import DomainError, ProgramError
from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.attend import NONE, Missing
from handcraft.language.graph.domain import Domain, Finite, Value, check_number
from handcraft.language.graph.node import Comparison, Node
from handcraft.language.graph.wording import (
    Wording,
    enclosed,
    name_for,
    reads,
    show,
    show_function,
    show_list,
)
from handcraft.language.oracle.interpret import interpret
from handcraft.language.sequences.misuse import NoSingleValue
from handcraft.language.written.written_place import written, written_place

if TYPE_CHECKING:
    from handcraft.language.sequences.prompts import Prompts

Operand: TypeAlias = "Expression | str | int | float | bool | Fraction"


Method: TypeAlias = "Callable[[Expression, Operand], Expression]"


def _both_ways(combine: Callable[[Node, Node], Node]) -> tuple[Method, Method]:
    """The methods of an operator whose left operand is an expression, and whose right one is."""

    def forward(self: Expression, other: Operand) -> Expression:
        return self._new(combine(self.node, self.operand(other)), is_operator=True)

    def backward(self: Expression, other: Operand) -> Expression:
        return self._new(combine(self.operand(other), self.node), is_operator=True)

    return forward, backward


def _compared(comparison: Comparison) -> Method:
    return _both_ways(partial(pointwise.compare, comparison=comparison))[0]


class Expression(NoSingleValue):
    """A value at every position of a text.

    Expressions are made from `Prompts.token` and `Prompts.position` by operators and methods. Comparing
    two gives a third: a flag at every position.
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
        return str(self.node)

    def __repr__(self) -> str:
        return f"<{self.node.domain.kind.value}: {self.node.text.defined}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def trace(self, text: str | Listed[str]) -> tuple[Value, ...]:
        """The value at every position of a text: what the expression means.

        Raises:
            VocabularyError: an unknown token.
            ProgramError: no token, too many, or a text that breaks an assumption.
        """
        return trace(self.prompts, self.node, text)

    # pointwise

    def map(
        self,
        function: Callable[[Any], object] | Mapping[Any, object],
        *,
        default: str | int | float | bool | Fraction | Missing = NONE,
    ) -> Expression:
        """A function of the value, or a table with a row for each.

        Args:
            function: what to tabulate, or a table.
            default: the result for values for which the table has no row.

        Raises:
            DomainError: the table has holes and no default, the function fails, or there are too many
                values.
        """
        ending = "" if isinstance(default, Missing) else f", default={show(default)}"
        text = reads(enclosed(self.node, 8), f".map({show_function(function)}{ending})")
        if not isinstance(default, Missing):
            if not isinstance(function, Mapping):
                raise DomainError(
                    "default= is for a table that lacks rows, and this is a function",
                    where=written(text),
                    fix="let the function give a value for everything",
                )
            known = self.domain.values if isinstance(self.domain, Finite) else ()
            function = {**dict.fromkeys(known, default), **function}
        return self._new(pointwise.lookup(function, (self.node,), text))

    def named(self, name: str) -> Expression:
        """The same value under a name, which is used in other expressions, pictures and weights.

        Raises:
            DomainError: the name is empty.

        >>> from handcraft import Prompts
        >>> token = Prompts("ab", context=5).token
        >>> before = token.at(-1, default="a").named("before")
        >>> print(before == token)
        before == token
        """
        if not isinstance(name, str) or not name.strip():
            raise DomainError(
                f"the name of an expression is {name!r}", where=written_place(), fix="give it a word"
            )
        return Expression(
            self.prompts, self.node.called(name_for(name, self.node.text), written_place())
        )

    def assume(self, values: Iterable[object]) -> Expression:
        """Promise that on every allowed prompt the value is one of these.

        Nothing is checked here; `verify` searches for an allowed prompt that breaks it.
        """
        listed = list(values)
        text = reads(enclosed(self.node, 8), f".assume({show_list(listed)})")
        return self._new(pointwise.assume(self.node, listed, text))

    __add__, __radd__ = _both_ways(pointwise.add)
    __sub__, __rsub__ = _both_ways(pointwise.subtract)
    __mul__, __rmul__ = _both_ways(pointwise.multiply)
    __truediv__, __rtruediv__ = _both_ways(pointwise.divide)
    __floordiv__ = _both_ways(pointwise.quotient)[0]
    __mod__ = _both_ways(pointwise.remainder)[0]
    __and__ = _both_ways(pointwise.both)[0]
    __or__ = _both_ways(pointwise.either)[0]
    __eq__ = _compared(Comparison.EQ)  # type: ignore[assignment]
    __ne__ = _compared(Comparison.NEQ)  # type: ignore[assignment]
    __lt__ = _compared(Comparison.LT)
    __le__ = _compared(Comparison.LEQ)
    __gt__ = _compared(Comparison.GT)
    __ge__ = _compared(Comparison.GEQ)

    def __neg__(self) -> Expression:
        text = reads("-", enclosed(self.node, 6), binding=7)
        return self._new(pointwise.linear([(-1, self.node)], 0, text), is_operator=True)

    def __invert__(self) -> Expression:
        return self._new(pointwise.invert(self.node), is_operator=True)

    # look back

    def at(self, offset: int, default: object = NONE) -> Expression:
        """The value at another position: `offset` is -1 for the one before this.

        Args:
            offset: how far away; positive only where the prompts are not causal.
            default: the value where there is no such position.

        Raises:
            DomainError: no default, or one that is not a value of this; a later position in a causal
                program.
        """
        _check_offset(offset, self)
        given = default is not NONE
        ending = f", default={show(default)}" if given else ""
        text = reads(enclosed(self.node, 8), f".at({offset}{ending})")
        if offset > 0 and self.prompts.causal:
            raise DomainError(
                f"`{text}` looks {offset} ahead, which a causal model cannot see",
                where=written(text),
                fix="read an earlier position, or declare Prompts(..., causal=False)",
            )
        most = self.prompts.context  # further away is nothing either
        position, away = self.prompts.position, min(abs(offset), most)
        there = position + away if offset > 0 else position - away
        return self._new(self._read(there, default, text))

    def at_position(self, place: int, default: object = NONE) -> Expression:
        """The value at one fixed position, counted from 0.

        Args:
            place: which position.
            default: the value where that position does not exist or is not visible.
        """
        _check_offset(place, self)
        if not 0 <= place < self.prompts.context:
            raise DomainError(
                f"`{self}` has no position {place}: the context is {self.prompts.context}",
                where=written_place(),
                fix=f"use a position from 0 to {self.prompts.context - 1}",
            )
        ending = "" if default is NONE else f", default={show(default)}"
        text = reads(enclosed(self.node, 8), f".at_position({place}{ending})")
        return self._new(self._read(self.prompts.constant(place), default, text))

    def _read(self, there: Expression, default: object, text: Wording) -> Node:
        """The value at a computed position."""
        position, context = self.prompts.position.node, self.prompts.context
        sources = attend.matching(position, there.node, Comparison.EQ, text)
        return attend.aggregate(sources, "latest", self.node, default, text, context)

    def operand(self, other: object) -> Node:
        """The node of the other operand: of an expression over the same prompts, or a constant."""
        if isinstance(other, Expression):
            check_same(self.prompts, other)
            return other.node
        return pointwise.constant(other)

    def _new(self, node: Node, *, is_operator: bool = False) -> Expression:
        return finished(self.prompts, node, levels_up=2, is_operator=is_operator)


def finished(
    prompts: Prompts, node: Node, *, levels_up: int = 1, is_operator: bool = False
) -> Expression:
    """A node as an expression that knows where the author wrote it, and what its variable is called.

    Args:
        prompts: those of the program.
        node: what was made.
        levels_up: how many frames above the caller the author's code would be.
        is_operator: whether an operator made it, and not a call.
    """
    text = prompts.names.word(node.identity, node.text, levels_up + 1, is_operator=is_operator)
    return Expression(prompts, node.called(text, written_place()))


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


def as_expression(value: object, called: str) -> Expression:
    """The value, which must be an expression.

    Raises:
        DomainError: it is not.
    """
    if not isinstance(value, Expression):
        raise DomainError(
            f"`{called}` of {value!r}, which is not an expression",
            where=written_place(),
            fix="begin with token or position of a Prompts; its .constant(x) is x at every position",
        )
    return value


def check_same(prompts: Prompts, other: Expression) -> None:
    """Raise unless the expression belongs to these prompts.

    Raises:
        ProgramError: it belongs to another program.
    """
    if other.prompts is not prompts:
        raise ProgramError(
            f"`{other}` belongs to other prompts: {other_prompts(other.prompts, prompts)}",
            where=written_place(),
            fix="make all expressions of a program from one Prompts",
        )


def other_prompts(one: Prompts, other: Prompts) -> str:
    """Where two prompts were made, for an error that mixes them."""
    first, second = (prompts.place.short if prompts.place else "?" for prompts in (one, other))
    return f"those of {first}, not those of {second}"


def _check_offset(offset: object, value: Expression) -> None:
    if not isinstance(offset, int) or isinstance(offset, bool):
        raise DomainError(
            f"`{value}` at {shorten_value(offset)}, of type {type(offset).__name__}",
            where=written_place(),
            fix="give a whole number of positions; for a computed one use select(position, ...)",
        )
    check_number(offset)
