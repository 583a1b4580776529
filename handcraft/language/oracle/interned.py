"""The values that occurred at a node, each with a number, so that arrays can store them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
import numpy.typing as npt

from handcraft.language.graph.domain import Value, whole

Ids = npt.NDArray[np.int64]

UNDEFINED = 0
"""The code where there is no value, since an assumption is broken."""

LARGEST = 1 << 62
"""Sums stay below it, so that they fit int64."""

SPREAD_UP_TO = 1 << 20
"""Numbers in a range up to this size are numbered by a table, others by sorting."""


@dataclass(frozen=True, eq=False)
class Scaled:
    """Numbers as whole numbers over one denominator.

    Args:
        tops: for each code the numerator, 0 where it has none: [code].
        below: the denominator.
        most: the largest absolute numerator.
    """

    tops: Ids
    below: int
    most: int


class Interned:
    """Values in the order in which they were first seen; the code of the first is 1.

    >>> seen = Interned()
    >>> [seen.code(value) for value in ("b", "a", "b")]
    [1, 2, 1]
    >>> seen.values[2]
    'a'
    """

    def __init__(self) -> None:
        self.values: list[Value] = [None]
        self._codes: dict[tuple[bool, Value], int] = {}
        self._scaled: tuple[int, Scaled | None] = (0, None)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def room(self) -> int:
        """A bound on codes that seldom changes: the next power of two."""
        return 1 << len(self.values).bit_length()

    def code(self, value: Value) -> int:
        """The code of a value, which may be a new one."""
        key = (isinstance(value, bool), value)
        known = self._codes.setdefault(key, len(self.values))
        if known == len(self.values):
            self.values.append(value)
        return known

    def find(self, value: Value) -> int:
        """The code of a value, `UNDEFINED` where it was never seen."""
        return self._codes.get((isinstance(value, bool), value), UNDEFINED)

    def table(self, function: Callable[[Value], int]) -> Ids:
        """A whole number for each code: [code]; 0 for `UNDEFINED`."""
        return np.array([0, *map(function, self.values[1:])], dtype=np.int64)

    @property
    def scaled(self) -> Scaled | None:
        """The values as numbers, flags as 0 and 1; None if they do not fit int64."""
        if self._scaled[0] != len(self.values):
            self._scaled = (len(self.values), _scaled(self.values[1:]))
        return self._scaled[1]

    def numbers(self, tops: Ids, below: int) -> Ids:
        """The codes of some numbers over one denominator, of any shape."""
        return self.coded(tops, lambda top: whole(Fraction(top, below)))

    def coded(self, keys: Ids, value: Callable[[int], Value]) -> Ids:
        """The codes of a function of whole numbers, of any shape; it is called once for each number."""
        low, high = int(keys.min(initial=0)), int(keys.max(initial=0))
        if high - low <= SPREAD_UP_TO:
            table = np.zeros(high - low + 1, dtype=np.int64)
            table[keys - low] = 1
            for key in np.flatnonzero(table).tolist():
                table[key] = self.code(value(key + low))
            return np.asarray(table[keys - low])
        distinct, places = np.unique(keys, return_inverse=True)
        codes = np.array([self.code(value(key)) for key in distinct.tolist()], dtype=np.int64)
        return np.asarray(codes[places.reshape(keys.shape)])


def _scaled(values: Iterable[Value]) -> Scaled | None:
    exact = [Fraction(value) for value in values if isinstance(value, int | Fraction)]
    if len(exact) != len([*values]):
        return None
    below = lcm(*(number.denominator for number in exact))
    tops = [int(number * below) for number in exact]
    most = max(map(abs, tops), default=0)
    if max(most, below) >= LARGEST:
        return None
    return Scaled(np.array([0, *tops], dtype=np.int64), below, most)
