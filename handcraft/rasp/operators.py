"""The operators of sequences: what Python writes between two values."""

from __future__ import annotations

import operator
from collections.abc import Callable
from enum import Enum
from fractions import Fraction
from typing import Any

from handcraft.language.graph.domain import whole


def _divide(x: Any, y: Any) -> Any:
    """The exact quotient of two numbers."""
    if isinstance(x, int | Fraction) and isinstance(y, int | Fraction):
        return whole(Fraction(x) / Fraction(y))
    return x / y


class Operator(Enum):
    """An operator between the values of two sequences at the same position.

    Each has its sign, how tightly it binds (comparisons least), and its function of two values.
    """

    OR = "|", 2, lambda x, y: x or y
    AND = "&", 3, lambda x, y: x and y
    ADD = "+", 5, operator.add
    SUBTRACT = "-", 5, operator.sub
    MULTIPLY = "*", 6, operator.mul
    DIVIDE = "/", 6, _divide
    REMAINDER = "%", 6, operator.mod
    QUOTIENT = "//", 6, operator.floordiv
    EQUAL = "==", 1, operator.eq
    UNEQUAL = "!=", 1, operator.ne
    LESS = "<", 1, operator.lt
    AT_MOST = "<=", 1, operator.le
    MORE = ">", 1, operator.gt
    AT_LEAST = ">=", 1, operator.ge

    def __init__(self, sign: str, binding: int, function: Callable[[Any, Any], Any]) -> None:
        self.sign, self.binding, self.function = sign, binding, function

    def __call__(self, x: Any, y: Any) -> Any:
        """Its result for two values."""
        return self.function(x, y)

    @property
    def is_comparison(self) -> bool:
        """Whether its answer is a flag for any two values."""
        return self.binding == 1
