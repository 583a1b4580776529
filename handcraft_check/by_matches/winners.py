"""Shows which source a head attends to that matches by content.

An attention score is a number for the tokens of the two positions plus a number for the positions
themselves. For each query, these numbers must be far enough apart that sources that match score more
than all that do not, and the latest (or the earliest) of them more than the others. Then the head reads
the source that the program means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import CERTAIN, EXP_ULPS, TINY, UNIT
from handcraft_check.by_matches.scores import Scores
from handcraft_check.by_matches.vectors import Kinds
from handcraft_check.by_windows.windows import UnfitError
from handcraft_check.layers.matrix import Flags, Ids

CELLS = 1 << 22
"""How many scores are computed in one piece, which bounds the memory."""

ALIKE = 2.0**-7
"""What tokens add to two scores counts as equal if it differs by less than this, in nats."""


def needed_gap(count: int) -> float:
    """The score gap behind which all other sources together have less attention weight than `CERTAIN`.

    The difference of two float32 scores is rounded once, exp errs by `EXP_ULPS`, and a weight may
    underflow. The sum that the exponentials are divided by is at least 1.

    Args:
        count: how many sources there are.
    """
    room = CERTAIN / (1 + 4 * EXP_ULPS * UNIT) - TINY * (count + 1)
    return float(np.log(count / room) * (1 + 4 * UNIT)) + 2.0**-20


@dataclass(frozen=True, eq=False)
class _Type:
    """Sources of one kind of position of which tokens allow the same cases.

    Args:
        low: the least that their tokens add to scores, error included: [query].
        high: the most, in the same way.
        places: what their positions add: [destination, source].
        matching: which visible positions match: [destination, source].
        others: which visible positions do not: [destination, source].
        columns: their positions among all: [source].
    """

    low: Array
    high: Array
    places: Array
    matching: Flags
    others: Flags
    columns: Ids


def check_winners(scores: Scores, how: str, count: int) -> None:
    """Show that one source has all attention weight, and that it is the one that is meant.

    If a visible source matches, it must be the latest or the earliest of these. If none does, it may be
    any of the others, but only one. With a relative error s of the scale of a query, a difference D of
    what tokens add is at least D - s |D|, which is monotone in D; and an error x that is subtracted
    after that is at most one of (1 + 2 s) x that is subtracted before.

    Args:
        scores: of all sources.
        how: ``latest`` or ``earliest``.
        count: how many sources there are at most.

    Raises:
        UnfitError: it cannot be shown.
    """
    step = max(1, CELLS // len(scores.keys))
    masks: dict[tuple[int, int], tuple[Flags, Flags]] = {}
    for start in range(0, len(scores.kinds), step):
        _check(scores, scores.kinds.rows(slice(start, start + step)), how, count, masks)


def _check(
    scores: Scores,
    some: Kinds,
    how: str,
    count: int,
    masks: dict[tuple[int, int], tuple[Flags, Flags]],
) -> None:
    """As `check_winners`, for some queries; `masks` keeps what was computed for others."""
    held = np.concatenate([source.held(some) for source in scores.sources], axis=1)
    center, error = scores.of_tokens(some)
    is_match = held > 0
    around = np.where(is_match.any(axis=1), is_match.argmax(axis=1), center.argmax(axis=1))
    near = error + scores.of_queries(some, around)
    common = scores.of_positions(some)
    need = needed_gap(3 * count) + common
    if not (np.isfinite(need).all() and np.isfinite(near).all()):
        raise UnfitError("scores may be infinite")
    near = near * (1 + 2 * some.scale[:, None])
    types, is_open, first = [], np.zeros(held.shape, dtype=bool), 0
    for number, (source, places) in enumerate(zip(scores.sources, scores.places, strict=True)):
        block = slice(first, first + len(source.kinds))
        first = block.stop
        for bits in np.unique(held[:, block]).tolist():
            if (number, bits) not in masks:
                matching = source.matching(bits)
                masks[number, bits] = matching, source.seen & ~matching
            matching, others = masks[number, bits]
            here = held[:, block] == bits
            low = np.where(here, (center - near)[:, block], np.inf).min(axis=1)
            high = np.where(here, (center + near)[:, block], -np.inf).max(axis=1)
            types.append(_Type(low, high, places, matching, others, source.columns))
            is_open[:, block] |= here & others.any()
    first_need = needed_gap(3 * len(types)) + common
    _check_matching(types, how, first_need, need, some.scale)
    if is_open.any():
        _check_one(scores, some, np.where(is_open, center, np.nan), error, first_need, need)


def _check_matching(
    types: Sequence[_Type], how: str, first_need: Array, need: Array, scale: Array
) -> None:
    """Check that sources that match score more than others, and the one that is meant most.

    At most one source of each type is at the next position; all others are further away.
    """
    for one in types:
        if not one.matching.any():
            continue
        for other in types:
            with np.errstate(invalid="ignore"):
                apart = one.low - other.high  # infinite where one of both is not there
                apart = np.where(np.isfinite(apart), apart - scale * np.abs(apart), np.inf)
            if other.others.any():
                least = np.where(one.matching, one.places, np.inf).min(axis=1)
                most = np.where(other.others, other.places, -np.inf).max(axis=1)
                if not (apart + (least - most).min() >= need).all():
                    raise UnfitError("a source that does not match may be read beside one that does")
            if other.matching.any():
                nearest, second = _nearest(one, other, how)
                if not ((apart + nearest >= first_need) & (apart + second >= need)).all():
                    raise UnfitError("another source that matches may be read")


def _nearest(one: _Type, other: _Type, how: str) -> tuple[float, float]:
    """How much more a position adds than each that it must exceed, and than all but one."""
    count = int(max(one.columns.max(), other.columns.max())) + 1
    first, second = np.full((2, len(one.places), count), -np.inf)
    first = -first
    first[:, one.columns] = np.where(one.matching, one.places, np.inf)
    second[:, other.columns] = np.where(other.matching, other.places, -np.inf)
    if how == "earliest":
        first, second = first[:, ::-1], second[:, ::-1]
    best, next_best = np.full((2, len(first)), -np.inf)
    found = [np.inf, np.inf]
    for column in range(1, count):
        latest = second[:, column - 1]
        next_best = np.maximum(next_best, np.minimum(best, latest))
        best = np.maximum(best, latest)
        for i, before in enumerate((best, next_best)):
            found[i] = min(found[i], float((first[:, column] - before).min()))
    return found[0], found[1]


def _check_one(
    scores: Scores, some: Kinds, center: Array, error: Array, first_need: Array, need: Array
) -> None:
    """Check that no two sources have nearly the same score.

    Sources are sorted by what their tokens add, and divided into parts where that differs. Within a
    part, positions must make scores differ by more than the errors. Scores of different parts must
    differ by more than positions may add.

    Args:
        scores: of all sources.
        some: the queries.
        center: what tokens add: [query, key]; NaN for what need not be looked at.
        error: how far it may be off: [query, key].
        first_need: how far apart the two highest scores must be: [query].
        need: how far all others must be: [query].

    Raises:
        UnfitError: two have.
    """
    rows = np.arange(len(center))[:, None]
    order = np.argsort(center, axis=1)  # NaN last
    ranked, errors, means = center[rows, order], error[rows, order], scores.by_mean[order]
    is_known = ~np.isnan(ranked)
    steps = np.diff(ranked, axis=1)
    is_first = np.column_stack([np.ones(len(rows), dtype=bool), ~(steps <= ALIKE)])
    starts = np.flatnonzero(is_first.reshape(-1))
    row = starts // center.shape[1]

    def largest(numbers: Array) -> Array:
        return np.asarray(np.maximum.reduceat(np.where(is_known, numbers, -np.inf).reshape(-1), starts))

    with np.errstate(invalid="ignore"):
        spread = largest(ranked) + largest(-ranked)
        moved = some.shift[row] * (largest(means) + largest(-means))
        off = (2 * largest(errors) + moved + scores.of_any_keys(some)[row]) * (1 + 2 * some.scale[row])
        off += spread * (1 + some.scale[row])
        closest, second, farthest = _between_positions(scores)
        is_apart = (closest - off >= first_need[row]) & (second - off >= need[row])
    is_apart |= ~is_known.reshape(-1)[starts]
    off_any = 2 * np.where(is_known, errors, 0.0).max(axis=1) + scores.of_any_keys(some)
    off_any += some.shift * np.ptp(scores.by_mean)
    far = np.where(steps > ALIKE, steps, np.inf).min(axis=1, initial=np.inf)
    far = far * (1 - some.scale) - off_any * (1 + 2 * some.scale) - farthest
    if not (is_apart.all() and (far >= need).all()):
        raise UnfitError("two sources that do not match may be read together")


def _between_positions(scores: Scores) -> tuple[float, float, float]:
    """How far what positions add is apart: two of those that are seen, three, and at most."""
    order = np.argsort(np.concatenate([source.columns for source in scores.sources]))
    seen: Flags = np.concatenate([source.seen for source in scores.sources], axis=1)[:, order]
    every = np.concatenate(scores.places, axis=1)[:, order]
    if not scores.queries.places.any():  # it is the same for each destination
        every, seen = every[-1:], np.asarray(seen.any(axis=0, keepdims=True))
    farthest = np.where(seen, every, -np.inf).max(axis=1) - np.where(seen, every, np.inf).min(axis=1)
    ranked = np.sort(np.where(seen, every, np.nan), axis=1)
    between = (ranked[:, 1:] - ranked[:, :-1], ranked[:, 2:] - ranked[:, :-2])
    closest, second = (np.where(np.isnan(d), np.inf, d).min(initial=np.inf) for d in between)
    return float(closest), float(second), float(farthest.max())
