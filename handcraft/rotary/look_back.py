"""A head that looks a fixed number of positions back, and at the begin token where there is no source.

It also tells whether the text has `k` tokens before this one, since it sees the begin token exactly
where it has not: a head for "position < k" is the one that looks `k` back.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import sqrt

import numpy as np

from handcraft.display import count
from handcraft.dtype import FLOAT32, DType
from handcraft.errors import CompileError, PrecisionError
from handcraft.phrase import phrase, setting
from handcraft.rotary.rotation import Floats, Rotation
from handcraft.rotary.round_query import as_pairs, rounded_query
from handcraft.rotary.score import Keys, RotaryScore
from handcraft.rotary.solve_query import Comparisons, Kinds, solve_query

KEY = 32
"""The key of every token, in every pair. Amplitudes add up to about 104 nats / 0.2, times the root of
head_dim before the scale, so queries are then of about the same size."""

BEGIN = 8
"""How much longer the key of the begin token is in the slowest pair; it is 0 in all others. Its score
is then about the same at all distances: a level between those of the sources that must win and those
that must not. The longer this key is, the less other sources lose by this level; 16 gains 5 % more."""

WIDEST = 256
"""The head_dim up to which one that would do is searched for."""


def look_back_keys(rotation: Rotation) -> Keys:
    """The keys that all look-backs of a model share."""
    text = (Fraction(KEY),) * rotation.pairs
    return Keys(text, (*(-key for key in text[:-1]), text[-1] * (BEGIN - 1)))


def look_back(k: int, rotation: Rotation, dtype: DType, nats: float) -> RotaryScore:
    """The score of a head that looks `k` back; where the text has no such token, at the begin token.

    Args:
        k: the distance; 0 is the position itself.
        rotation: how queries and keys are rotated. Text begins at position 1.
        dtype: in which a tool computes.
        nats: by how much the source must lead every other one, see `DType.underflow`.

    Returns:
        The score; its keys are those of `look_back_keys`.

    Raises:
        CompileError: the window does not reach that far.
        PrecisionError: no query has the gap.
    """
    check_window(k, rotation)
    found = longest_lead(k, rotation, dtype, nats)
    if found.gap >= nats:
        return found
    raise PrecisionError(
        f"a head that looks {k} back leads by {found.gap:.1f} nats in {dtype.name}, "
        f"{nats - found.gap:.1f} less than the {nats:g} that are needed, with head_dim="
        f"{rotation.head_dim}, theta={rotation.theta:g} and {rotation.positions:,} positions",
        fix=_what_would_do(k, rotation, dtype, nats),
        is_tight=True,
    )


def check_window(k: int, rotation: Rotation) -> None:
    """Raise unless the window reaches `k` back.

    Raises:
        CompileError: it does not.
    """
    if rotation.window is not None and min(k, rotation.positions - 1) >= rotation.window:
        raise CompileError(
            f"with a window of {count(rotation.window, 'position')} no head looks {k} back",
            fix=phrase(setting("window", min(k, rotation.positions - 1) + 1), " is enough"),
        )


def longest_lead(k: int, rotation: Rotation, dtype: DType, nats: float) -> RotaryScore:
    """The score of a head that looks `k` back, whose gap is less than `nats` if none has that."""
    keys = look_back_keys(rotation)
    sources, kinds = keys.sources(rotation, dtype), _comparisons(k, rotation)
    own_begin = np.array([rotation.text_distances])
    direction, _ = solve_query(sources, kinds, at_least_0=own_begin)
    query, gap = rounded_query(direction, sources, kinds, dtype, nats, 1 / sqrt(rotation.head_dim))
    return RotaryScore(as_pairs(query), keys.text, keys.begin, gap)


def _comparisons(k: int, rotation: Rotation) -> Kinds:
    """Who must win: at position p the begin token is at distance p, and text at smaller distances."""
    text = np.arange(rotation.text_distances)
    begin = rotation.text_distances + np.arange(rotation.begin_distances)  # at each position
    other = text[text != k]
    has_source, has_none = begin[k + 1 :], begin[1 : k + 1]

    def kinds(low: Floats, high: Floats) -> list[Comparisons]:
        before = high[: len(has_none)]  # of text at the distances below k
        so_far = np.maximum.accumulate(before) if len(before) else before
        strongest = np.searchsorted(so_far, so_far, side="left")  # the first with this score
        found = [(has_none[: len(strongest)], strongest)]
        if k < len(text):
            found += [(np.full(len(other), k), other), (np.full(len(has_source), k), has_source)]
        return found

    return kinds


def _what_would_do(k: int, rotation: Rotation, dtype: DType, nats: float) -> str:
    """A larger head, a wider dtype or a shorter text with which the gap is reached."""
    head_dim = smallest_head_dim([k], rotation, dtype, nats)
    if head_dim is not None:
        return f"head_dim={head_dim} is enough"
    if dtype.bits < FLOAT32.bits and longest_lead(k, rotation, FLOAT32, nats).gap >= nats:
        return "dtype='float32' is enough"
    positions = rotation.positions
    while positions > 2:
        positions = positions // 2
        if longest_lead(k, replace(rotation, positions=positions), dtype, nats).gap >= nats:
            return f"{positions:,} positions are few enough"
    return "look back less far"


def smallest_head_dim(
    distances: list[int], rotation: Rotation, dtype: DType, nats: float, least: int = 2
) -> int | None:
    """The smallest power of two at which heads look back by all `distances`; None above `WIDEST`.

    Args:
        distances: how far heads look back.
        rotation: its head_dim does not count.
        dtype: in which a tool computes.
        nats: the gap that each needs.
        least: the smallest that is tried.
    """
    head_dim = least
    while head_dim <= WIDEST:
        wider = replace(rotation, head_dim=head_dim)
        if all(
            longest_lead(k, wider, dtype, nats).gap >= nats for k in sorted(distances, reverse=True)
        ):
            return head_dim
        head_dim *= 2
    return None
