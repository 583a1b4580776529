"""Weighted sums of two sequences."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from handcraft.errors import DomainError
from handcraft.language.graph.domain import Value, as_number, show_value
from handcraft.rasp.rasp_node import Text, apply, value_of, whole
from handcraft.rasp.sequence import SOp, as_sequence


@dataclass(frozen=True, eq=False, repr=False)
class LinearSequenceMap(SOp):
    """A weighted sum of two sequences of numbers.

    Args:
        fst: the first.
        snd: the second.
        fst_fac: the weight of the first.
        snd_fac: the weight of the second.
    """

    fst: SOp
    snd: SOp
    fst_fac: int | float | Fraction
    snd_fac: int | float | Fraction

    def __post_init__(self) -> None:
        for factor in ("fst_fac", "snd_fac"):
            found = value_of(getattr(self, factor))
            if not isinstance(found, int | Fraction):
                raise DomainError(
                    f"the weight {factor}={found!r} is not a number",
                    where=self.place,
                    fix="use a number",
                )
            object.__setattr__(self, factor, found)
        object.__setattr__(self, "fst", as_sequence(self.fst))
        object.__setattr__(self, "snd", as_sequence(self.snd))

    @property
    def written(self) -> str:
        """How it is written."""
        weights = f"{show_value(self.fst_fac)}, {show_value(self.snd_fac)}"
        return f"LinearSequenceMap({self.fst.operand(0)}, {self.snd.operand(0)}, {weights})"

    def meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        """The weighted sum of every pair of values."""
        return [
            None if x is None or y is None else apply(self.total, (x, y), self)
            for x, y in zip(*children, strict=True)
        ]

    def total(self, x: Value, y: Value) -> int | Fraction:
        """The weighted sum of two numbers."""
        for number in (x, y):
            if not isinstance(number, int | Fraction):
                raise TypeError(f"{number!r} is not a number")
        return whole(Fraction(self.fst_fac * as_number(x) + self.snd_fac * as_number(y)))
