"""The sequences that every program starts from: `tokens`, `indices` and `length`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handcraft.origin import caller_place
from handcraft.rasp.rasp_node import Text
from handcraft.rasp.sequence import SOp


@dataclass(frozen=True, eq=False, repr=False)
class Tokens(SOp):
    """The token at every position."""

    @property
    def written(self) -> str:
        """How it is written."""
        return "tokens"

    def meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        """The tokens themselves."""
        return list(text.tokens)


@dataclass(frozen=True, eq=False, repr=False)
class Indices(SOp):
    """The position, from 0."""

    @property
    def written(self) -> str:
        """How it is written."""
        return "indices"

    def meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        """0, 1, 2 and so on."""
        return list(range(len(text)))


@dataclass(frozen=True, eq=False, repr=False)
class Length(SOp):
    """How many positions there are; in a causal program, how many are seen."""

    @property
    def written(self) -> str:
        """How it is written."""
        return "length"

    def meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        """How many positions are seen from each."""
        return [text.seen(here) for here in range(len(text))]


tokens = Tokens(place=caller_place(0))
indices = Indices(place=caller_place(0))
length = Length(place=caller_place(0))
