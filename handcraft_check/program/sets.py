"""Sets of values by number: what a node may have where tokens are undecided."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from handcraft_check.program.nodes import check_size

Flags = npt.NDArray[np.bool_]

UNKNOWN = ...
"""In a set of values: it may be any."""

VALUES_UP_TO = 64
"""A set with more values is `UNKNOWN`, where nothing else is said."""


Set: TypeAlias = frozenset[Any]


class Sets:
    """The sets that occurred at one node, by number.

    Args:
        most: a set with more values is `UNKNOWN`.
    """

    def __init__(self, most: int = VALUES_UP_TO) -> None:
        self.most = most
        self.listed: list[Set] = []
        self._single: list[bool] = []
        self._numbers: dict[Set, int] = {}

    def number(self, values: Iterable[Any]) -> int:
        """The number of a set."""
        found = frozenset(values)
        if len(found) > self.most or UNKNOWN in found:
            found = frozenset((UNKNOWN, None) if None in found else (UNKNOWN,))
        for value in found:
            if isinstance(value, int | Fraction):
                check_size(value, "a number that is computed")
        known = self._numbers.setdefault(found, len(self.listed))
        if known == len(self.listed):
            self.listed.append(found)
            self._single.append(is_one(found))
        return known

    @property
    def single(self) -> Flags:
        """Which sets have one value, which is known and allowed: [number]."""
        return np.array(self._single, dtype=bool)

    def flags(self, test: Callable[[Set], bool]) -> Flags:
        """What holds of each set: [number]."""
        return np.array([test(values) for values in self.listed], dtype=bool)


def is_one(values: Set) -> bool:
    """Whether a set has one value, which is known and allowed."""
    return len(values) == 1 and UNKNOWN not in values and None not in values
