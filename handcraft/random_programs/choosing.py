"""Where the choices of a random program come from: a seed, or Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

T = TypeVar("T")


class Choosing(Protocol):
    """Chooses whole numbers, of which all other choices are made."""

    def whole(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`; a smaller distance from 0 is simpler."""
        ...


class Seeded:
    """Chooses by a seed: the same choices on every machine and in every version of Python.

    Of `random.Random` only `random()` is used: it alone is promised to stay as it is. The seed is a
    text, which is hashed: large whole numbers may give the same choices as small ones.
    """

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)

    def whole(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`, all equally likely but for 2^-53 of each."""
        return least + int(self._random.random() * (most - least + 1))


def one_of(choosing: Choosing, choices: Sequence[T]) -> T:
    """One of some choices; the first is the simplest."""
    return choices[choosing.whole(0, len(choices) - 1)]


def members(bits: int) -> list[int]:
    """The places at which a whole number has a 1 in base 2: a set, as a number of its own.

    >>> members(5)
    [0, 2]
    """
    return [place for place in range(bits.bit_length()) if bits >> place & 1]


def some_of(choosing: Choosing, choices: Sequence[T]) -> list[T]:
    """At least one of some choices, in their order."""
    return [choices[place] for place in members(choosing.whole(1, 2 ** len(choices) - 1))]
