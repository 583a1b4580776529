"""Functions of expressions: choices, tables of several values, windows and weighted sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from handcraft.display import shorten_value
from handcraft.errors import DomainError, ProgramError
from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.attend import NONE
from handcraft.language.graph.domain import Kind, Plain, check_number, plain_value
from handcraft.language.graph.node import Comparison, How, Sources
from handcraft.language.graph.wording import (
    Part,
    Wording,
    enclosed,
    listed_in,
    reads,
    show,
    show_function,
)
from handcraft.language.sequences.expression import (
    Expression,
    Operand,
    as_expression,
    check_same,
    finished,
    other_prompts,
)
from handcraft.language.sequences.misuse import NoValue
from handcraft.language.written.written_place import written, written_place
from handcraft.limits import TERMS

if TYPE_CHECKING:
    from handcraft.language.sequences.prompts import Prompts


@dataclass(frozen=True, eq=False, repr=False)
class Selection(NoValue):
    """Which source positions every destination selects; made by `select`.

    Selections combine with ``&``, ``|`` and ``~``.
    """

    prompts: Prompts
    sources: Sources

    def __repr__(self) -> str:
        return f"<selection: {self.sources.text.defined}>"

    def __str__(self) -> str:
        return str(self.sources)

    def __and__(self, other: Selection) -> Selection:
        return self._with(attend.intersection, other)

    def __or__(self, other: Selection) -> Selection:
        return self._with(attend.union, other)

    def __invert__(self) -> Selection:
        return selected(self.prompts, attend.complement(self.sources), is_operator=True)

    def mean(self, value: Expression, default: object = NONE) -> Expression:
        """The mean of a number over the selected positions; a flag counts as 0 or 1."""
        return self._aggregate("mean", value, default)

    def latest(self, value: Expression, default: object = NONE) -> Expression:
        """The value at the latest selected position."""
        return self._aggregate("latest", value, default)

    def earliest(self, value: Expression, default: object = NONE) -> Expression:
        """The value at the earliest selected position."""
        return self._aggregate("earliest", value, default)

    def count(self) -> Expression:
        """How many positions are selected."""
        return self._aggregate("count", None, NONE)

    def exists(self) -> Expression:
        """Whether any position is selected."""
        return self._aggregate("exists", None, NONE)

    def _aggregate(self, how: How, value: Expression | None, default: object) -> Expression:
        if value is not None:
            check_same(self.prompts, as_expression(value, f"{self}.{how}"))
        read = None if value is None else value.node
        inside: list[Part] = [] if read is None else [read]
        inside += [] if default is NONE else [f", default={show(default)}"]
        text = reads(enclosed(self.sources, 8), f".{how}(", *inside, ")")
        node = attend.aggregate(self.sources, how, read, default, text, self.prompts.context)
        return finished(self.prompts, node.called(text, None), levels_up=2)

    def _with(self, combine: Callable[[Sources, Sources], Sources], other: Selection) -> Selection:
        if not isinstance(other, Selection):
            raise DomainError(
                f"`{self}` is a selection, and {other!r} is not",
                where=written_place(),
                fix="combine it with another select(...); .exists() and .count() make it an expression",
            )
        if other.prompts is not self.prompts:
            raise ProgramError(
                f"`{other}` belongs to other prompts: {other_prompts(other.prompts, self.prompts)}",
                where=written_place(),
                fix="make all expressions of a program from one Prompts",
            )
        return selected(self.prompts, combine(self.sources, other.sources), 2, is_operator=True)


def select(
    key: Expression,
    query: Operand,
    relation: str | Comparison | Callable[[Any, Any], bool] = Comparison.EQ,
) -> Selection:
    """Select the source positions whose `key` is in a relation to the `query` at the destination.

    Args:
        key: read at the source.
        query: read at the destination; a plain value is a constant.
        relation: ``"=="``, ``"!="``, ``"<"``, ``"<="``, ``">"``, ``">="``, always key first; or a
            function of a key and a query.

    Raises:
        DomainError: the two cannot be compared.

    >>> from handcraft import Prompts
    >>> token = Prompts("ab", context=5).token
    >>> select(token, token).count().trace("abaa")
    (1, 1, 2, 3)
    """
    source = as_expression(key, "select")
    node = source.operand(query)
    named = relation.value if isinstance(relation, Comparison) else relation
    shown = repr(named) if isinstance(named, str) else show_function(named)
    text = reads("select(", source.node, ", ", node, ")" if named == "==" else f", {shown})")
    return selected(source.prompts, attend.matching(source.node, node, relation, text))


def selected(
    prompts: Prompts, sources: Sources, levels_up: int = 1, *, is_operator: bool = False
) -> Selection:
    """Sources as a selection that has the name of its variable; as `finished`."""
    text = prompts.names.word(sources.identity, sources.text, levels_up + 1, is_operator=is_operator)
    return Selection(prompts, replace(sources, text=text))


def where(condition: Expression, yes: Operand, no: Operand) -> Expression:
    """One of two values at every position, by a flag.

    >>> from handcraft import Prompts
    >>> token = Prompts("ab", context=5).token
    >>> where(token == "a", 1, 0).trace("aab")
    (1, 1, 0)
    """
    flag = as_expression(condition, "where")
    node = pointwise.where(flag.node, flag.operand(yes), flag.operand(no))
    return finished(flag.prompts, node)


def lookup(function: Callable[..., object] | Mapping[Any, object], *arguments: Operand) -> Expression:
    """A function of several expressions, or a table with a row for each combination of values.

    Args:
        function: what to tabulate, or a table whose keys are tuples of values.
        arguments: what it is a function of; at least one is an expression.

    Raises:
        DomainError: the table has holes, the function fails, or there are too many combinations.
    """
    found = next((each for each in arguments if isinstance(each, Expression)), arguments)
    first = as_expression(found, "lookup")
    nodes = [first.operand(argument) for argument in arguments]
    text = reads("lookup(", listed_in([show_function(function), *nodes]), ")")
    node = pointwise.lookup(function, nodes, text)
    return finished(first.prompts, node)


@dataclass(frozen=True)
class Window:
    """The last few positions, this one among them."""

    length: int

    def mean(self, value: Expression) -> Expression:
        """The mean of a number over the window; near the beginning, over the positions that exist."""
        value = as_expression(value, f"window({self.length}).mean")
        position = value.prompts.position.node
        after = (value.prompts.position - min(self.length, value.prompts.context)).node
        text = reads(f"window({self.length})")
        recent = attend.matching(position, after, Comparison.GT, text)
        seen = attend.matching(position, position, Comparison.LEQ, text)
        both = replace(attend.intersection(recent, seen), text=text)
        most = min(self.length, value.prompts.context)
        phrase = reads(text, ".mean(", value.node, ")")
        node = attend.aggregate(both, "mean", value.node, attend.NONE, phrase, most)
        return finished(value.prompts, node)


def window(length: int) -> Window:
    """The last `length` positions, this one among them.

    Raises:
        DomainError: the length is not at least 1.
    """
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise DomainError(
            f"a window of {shorten_value(length)} positions", where=written_place(), fix="use 1 or more"
        )
    check_number(length)
    return Window(length)


def weighted(value: Expression, weights: Mapping[int, float], default: float = 0) -> Expression:
    """A weighted sum of a number here and at other positions.

    Args:
        value: a number, or a flag that counts as 0 or 1.
        weights: for each offset, 0 for this position and -1 for the one before, its weight.
        default: the number where there is no such position.

    Raises:
        DomainError: the value or a weight is not a number, or an offset is not a whole number, or is
            ahead in a causal program.

    >>> from handcraft import Prompts
    >>> position = Prompts("ab", context=5).position
    >>> weighted(position, {0: 1, -1: 10}).trace("aaa")
    (0, 1, 12)
    """
    TERMS.check(len(weights), where=written_place())
    value = as_expression(value, "weighted")
    ending = "" if default == 0 else f", default={show(default)}"
    text = reads("weighted(", value.node, f", {show_function(weights)}{ending})")
    is_flag = value.domain.kind is Kind.FLAG and default in (0, 1)
    terms = []
    for offset, weight in weights.items():
        there = value if offset == 0 else value.at(offset, bool(default) if is_flag else default)
        terms.append((_weight(weight, text), there.node))
    node = pointwise.linear(terms, 0, text)
    return finished(value.prompts, node)


def _weight(weight: object, text: Wording) -> Plain:
    known = plain_value(weight)
    if isinstance(known, bool) or not isinstance(known, int | Fraction):
        raise DomainError(
            f"the weight {weight!r} is not a number",
            where=written(text),
            fix="give a number, such as 0.5",
        )
    return known
