"""Selections: which source positions a destination attends to, and aggregates of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handcraft.errors import DomainError, ProgramError
from handcraft.language.graph import attend
from handcraft.language.graph.attend import NONE
from handcraft.language.graph.node import Comparison, How, Sources
from handcraft.language.graph.show import show, show_function
from handcraft.language.graph.wording import Part, enclosed, reads
from handcraft.language.sequences.expression import (
    Expression,
    Operand,
    as_expression,
    check_same,
    other_prompts,
)
from handcraft.language.sequences.misuse import NoValue
from handcraft.language.written_place import written_place

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
        return f"<selection: {self}>"

    def __str__(self) -> str:
        return str(self.sources)

    def __and__(self, other: Selection) -> Selection:
        return self._with(attend.intersection, other)

    def __or__(self, other: Selection) -> Selection:
        return self._with(attend.union, other)

    def __invert__(self) -> Selection:
        return Selection(self.prompts, attend.complement(self.sources))

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
        if value is not None:
            check_same(self.prompts, as_expression(value, f"{self}.{how}"))
        read = None if value is None else value.node
        inside: list[Part] = [] if read is None else [read]
        inside += [] if default is NONE else [f", default={show(default)}"]
        text = reads(enclosed(self.sources, 8), f".{how}(", *inside, ")")
        node = attend.aggregate(self.sources, how, read, default, text, self.prompts.context)
        return Expression(self.prompts, node.called(text, written_place()))

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
        return Selection(self.prompts, combine(self.sources, other.sources))


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
    return Selection(source.prompts, attend.matching(source.node, node, relation, text))
