"""A case as it is planned: what is asked, and what is right by the definition of the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from handcraft.conformance.cases.request import Request

Accepted = tuple[int, ...]
"""The ids of which each is right at one place; none where every answer is."""

Right = tuple[tuple[Accepted, ...], ...]
"""For each prompt, for each position or step, what is right."""


@dataclass(frozen=True)
class Planned:
    """A case before anything was measured.

    Args:
        id: a name that no other case of the pack has.
        comment: what the case is for.
        flags: what it is about, to select and to leave out by.
        model: the name of the model.
        request: what is run.
        right: what is right.
    """

    id: str
    comment: str
    flags: tuple[str, ...]
    model: str
    request: Request
    right: Right


def exactly(tokens: Iterable[int]) -> tuple[Accepted, ...]:
    """One right answer at each place."""
    return tuple((token,) for token in tokens)


def where_known(tokens: Sequence[int | None]) -> tuple[Accepted, ...]:
    """One right answer at each place that has one."""
    return tuple(() if token is None else (token,) for token in tokens)


def split(length: int, first: int, then: int | None = None) -> tuple[int, ...]:
    """Pieces of a prompt: `first` tokens, and the others in pieces of `then`, or in one.

    >>> split(7, 3), split(7, 3, 2), split(3, 1, 1)
    ((3, 4), (3, 2, 2), (1, 1, 1))
    """
    rest = length - first
    size = then or rest
    return (first, *(min(size, rest - start) for start in range(0, rest, size)))
