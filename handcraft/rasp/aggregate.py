"""Aggregates of selected positions: their number, mean, sum, or common label."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from handcraft.errors import DomainError
from handcraft.language.graph.domain import Value, as_number, show_value, whole
from handcraft.language.graph.wording import Wording, reads
from handcraft.rasp.rasp_node import Text, value_of
from handcraft.rasp.selector import Selector, check_selector
from handcraft.rasp.sequence import Encoding, SOp, as_sequence

HOW = ("mean", "sum")


@dataclass(frozen=True, eq=False, repr=False)
class SelectorWidth(SOp):
    """How many positions are selected."""

    selector: Selector

    def __post_init__(self) -> None:
        check_selector(self.selector, self)
        super().__post_init__()

    def _written(self) -> Wording:
        return reads("SelectorWidth(", self.selector, ")")

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        return [row.bit_count() for row in children[0]]


@dataclass(frozen=True, eq=False, repr=False)
class Aggregate(SOp):
    """The mean of the numbers at the selected positions, or the one label that they have.

    Where nothing is selected it is the default. If a selected position has no value, neither has this.

    Args:
        selector: which positions.
        sop: what is read there.
        default: the value where nothing is selected; None for no value.
        how: ``"mean"``, or ``"sum"`` for the sum of numbers.
    """

    selector: Selector
    sop: SOp
    default: Any = None
    how: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        check_selector(self.selector, self)
        object.__setattr__(self, "sop", as_sequence(self.sop))
        object.__setattr__(self, "default", value_of(self.default))
        if self.how not in HOW:
            raise DomainError(
                f"how={self.how!r} is not a way to aggregate",
                where=self.place,
                fix='use "mean" or "sum"',
            )
        super().__post_init__()

    def _written(self) -> Wording:
        default = "" if self.default is None else f", default={show_value(self.default)}"
        how = "" if self.how == "mean" else f", how={self.how!r}"
        parts = (self.selector, ", ", self.sop.operand(0), f"{default}{how})")
        call = reads("Aggregate(", *parts)
        return reads("categorical(", call, ")") if self.is_categorical else call

    @property
    def is_categorical(self) -> bool:
        """Whether `categorical` declared its values to be labels."""
        return self.encoding is Encoding.CATEGORICAL and self.how == "mean"

    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        rows, values = children
        return [
            self._aggregated([value for there, value in enumerate(values) if row >> there & 1])
            for row in rows
        ]

    def _aggregated(self, values: list[Value]) -> Value:
        if not values:
            default: Value = self.default
            return default
        if any(value is None for value in values):
            return None
        if self.is_categorical or not all(isinstance(value, int | Fraction) for value in values):
            return self._common(values)
        total = Fraction(sum(as_number(value) for value in values))
        return whole(total if self.how == "sum" else total / len(values))

    def _common(self, values: list[Value]) -> Value:
        """The value that all of them have."""
        other = next((value for value in values if value != values[0]), None)
        if other is None and self.how == "mean":
            return values[0]
        if self.how == "sum":
            raise DomainError(
                f"`{self}` sums {', '.join(map(show_value, values))}, which are not numbers",
                where=self.where,
                fix="turn them into numbers with Map",
            )
        raise DomainError(
            f"`{self}` selects {show_value(values[0])} and {show_value(other)}: labels have no mean",
            where=self.where,
            fix="select positions that have the same value, or turn labels into numbers with Map",
        )
