"""How positions are encoded, and how a head looks back or a neuron counts with them.

An embedding may hold any function of the position, so a layout of positions is only a choice of
tables. One-hot positions take a dimension each and are easy to read; signed bits take a logarithm of
that, for the position itself and once more for every distance that a head looks back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from handcraft.circuits import (
    Coefficients,
    Relation,
    Subspace,
    Table,
    embed_position,
    equal,
    flag,
    look_back,
    one_hot,
    signed_bits,
    sinusoidal,
)
from handcraft.circuits.head import back_label
from handcraft.errors import CompileError


@dataclass(frozen=True)
class Span:
    """A set of positions: from `first` to `last`, both included; to the end where that is None."""

    first: int
    last: int | None = None

    def __contains__(self, position: int) -> bool:
        return position >= self.first and (self.last is None or position <= self.last)

    def __and__(self, other: Span) -> Span | None:
        """The positions of both; None where there are none."""
        first = max(self.first, other.first)
        last = min((end for end in (self.last, other.last) if end is not None), default=None)
        return Span(first, last) if last is None or first <= last else None

    def __lt__(self, other: Span) -> bool:
        """Spans are ordered by their first position; those without end come before others."""
        return self._order < other._order

    def __str__(self) -> str:
        if self.last is None:
            return f"position >= {self.first}"
        if self.first == self.last:
            return f"position = {self.first}"
        return f"position {self.first} to {self.last}"

    @property
    def _order(self) -> tuple[int, int]:
        return self.first, -1 if self.last is None else self.last


@dataclass(frozen=True)
class Literal:
    """A condition as a number to read: it is true where `reads` is `needed`, its largest value.

    Args:
        reads: what is added up; the sum is 0 or 1, or -1 or 0.
        needed: the sum where the condition holds; every violation gives 1 less.
    """

    reads: Coefficients
    needed: int


def membership(subspace: Subspace, allowed: Iterable[int]) -> Literal:
    """That a one-hot subspace holds one of the values with the indices `allowed`.

    The shorter list is read: the allowed values count +1, or the others count -1.
    """
    inside = sorted(allowed)
    if 2 * len(inside) <= subspace.width:
        return Literal(Coefficients(subspace, tuple((i, 1) for i in inside)), 1)
    chosen = frozenset(inside)
    outside = tuple((i, -1) for i in range(subspace.width) if i not in chosen)
    return Literal(Coefficients(subspace, outside), 0)


class Positions(Protocol):
    """A layout of positions."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """What the position embedding holds."""

    def look_back(self, distance: int) -> Relation:
        """Attend to the position `distance` before this one; to the first where there is none."""

    def inside(self, span: Span) -> Literal:
        """That this position is one of `span`."""


@dataclass(frozen=True)
class OneHotPositions:
    """One dimension for each position."""

    context: int

    @property
    def _position(self) -> Subspace:
        return one_hot("position", range(self.context))

    @property
    def tables(self) -> tuple[Table, ...]:
        """The identity."""
        return (embed_position(self._position),)

    def look_back(self, distance: int) -> Relation:
        """W_Q shifts the one-hot position; W_K leaves it as it is."""
        return look_back(self._position, distance)

    def inside(self, span: Span) -> Literal:
        """Read the dimensions of the positions in the span, or those of the others."""
        return membership(self._position, (i for i in range(self.context) if i in span))


@dataclass(frozen=True)
class CodedPositions:
    """A code of the position and of every target of a look back, and a flag for every span.

    Args:
        code: makes a subspace whose codewords meet each other less than themselves.
        context: the number of positions.
        distances: the distances that heads look back.
        spans: the sets of positions that anything asks for.
    """

    code: Callable[[str, range], Subspace]
    context: int
    distances: tuple[int, ...]
    spans: tuple[Span, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """The code of i, that of i - k clamped at 0 for each distance k, and the flags."""
        positions = range(self.context)
        here = [embed_position(self._target(0))] if self.distances else []
        there = [
            embed_position(self._target(k), [max(0, i - k) for i in positions])
            for k in self.distances
            if k
        ]
        flags = [embed_position(flag(str(s)), [i in s for i in positions]) for s in self.spans]
        return (*here, *there, *flags)

    def look_back(self, distance: int) -> Relation:
        """The code of the target here equals the code of the position there."""
        label = back_label(distance)
        return equal(self._target(distance), self._target(0), label=label, picks_one=True)

    def inside(self, span: Span) -> Literal:
        """Read the flag of the span."""
        return Literal(Coefficients(flag(str(span)), ((0, 1),)), 1)

    def _target(self, distance: int) -> Subspace:
        name = f"position - {distance}" if distance else "position"
        return self.code(name, range(self.context))


POSITIONS = ("auto", "one-hot", "binary", "sinusoidal")
"""The layouts of positions that a program can ask for."""

ONE_HOT_UP_TO = 16
"""The longest context whose positions are one-hot by default."""


def choose_positions(
    layout: str, context: int, distances: Iterable[int], spans: Iterable[Span]
) -> Positions:
    """The layout of positions asked for; ``auto`` takes one-hot for short contexts.

    Raises:
        CompileError: there is no layout of that name.
    """
    if layout not in POSITIONS:
        raise CompileError(
            f"there is no layout of positions {layout!r}", fix=f"use one of: {', '.join(POSITIONS)}"
        )
    if layout == "one-hot" or (layout == "auto" and context <= ONE_HOT_UP_TO):
        return OneHotPositions(context)
    code = sinusoidal if layout == "sinusoidal" else signed_bits
    return CodedPositions(code, context, tuple(sorted(set(distances))), tuple(sorted(set(spans))))
