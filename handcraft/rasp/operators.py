"""The operators of sequences: what Python writes between two values."""

from __future__ import annotations

import operator
from collections.abc import Callable
from enum import Enum
from fractions import Fraction
from typing import Any

from handcraft.rasp.rasp_node import whole


def _divide(x: Any, y: Any) -> Any:
    """The exact quotient of two numbers."""
    if isinstance(x, int | Fraction) and isinstance(y, int | Fraction):
        return whole(Fraction(x) / Fraction(y))
    return x / y


class Operator(Enum):
    """An operator between the values of two sequences at the same position."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    REMAINDER = "%"
    QUOTIENT = "//"
    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    AND = "&"
    OR = "|"

    def __call__(self, x: Any, y: Any) -> Any:
        """What it says of two values."""
        return _FUNCTIONS[self](x, y)

    @property
    def binding(self) -> int:
        """How tightly it binds; comparisons least."""
        return _BINDINGS.get(self, 1)

    @property
    def is_comparison(self) -> bool:
        """Whether its answer is a flag for any two values."""
        return self.binding == 1


_FUNCTIONS: dict[Operator, Callable[[Any, Any], Any]] = {
    Operator.ADD: operator.add,
    Operator.SUBTRACT: operator.sub,
    Operator.MULTIPLY: operator.mul,
    Operator.DIVIDE: _divide,
    Operator.REMAINDER: operator.mod,
    Operator.QUOTIENT: operator.floordiv,
    Operator.EQUAL: operator.eq,
    Operator.UNEQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.AT_LEAST: operator.ge,
    Operator.AND: lambda x, y: x and y,
    Operator.OR: lambda x, y: x or y,
}

_BINDINGS = {
    Operator.OR: 2,
    Operator.AND: 3,
    Operator.ADD: 5,
    Operator.SUBTRACT: 5,
    Operator.MULTIPLY: 6,
    Operator.DIVIDE: 6,
    Operator.REMAINDER: 6,
    Operator.QUOTIENT: 6,
}
