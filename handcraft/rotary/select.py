"""A head that selects by content: the latest, the earliest or every match, or the begin token.

The slowest pairs hold a channel each. A source that matches has the key 0 there, and any other loses a
score that depends little on the distance. The other pairs hold constants, as for a look-back: their
score falls with the distance, or rises, or is only high enough. So the scores are, from above: those of
the matches, by distance; that of the begin token; those of all other sources.

Where matches share the attention, their scores must be equal, and nothing may depend on the distance:
all constants of the query are 0, and every match has a score of exactly 0. The begin token has that too
where it is counted; else the slowest pair that holds no channel takes it down to a level between. Where
it does not matter which match is found, this takes the shortest queries too. Only in float16 no score
of the begin token may be below 0: its padding would be minus infinity everywhere then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import sqrt
from typing import Literal

import numpy as np

from handcraft.dtype import FLOAT32, DType
from handcraft.errors import CompileError, PrecisionError
from handcraft.phrase import phrase, setting
from handcraft.rotary.look_back import BEGIN, KEY, WIDEST
from handcraft.rotary.rotation import Floats, Rotation
from handcraft.rotary.round_query import GRID, as_pairs, rounded_query
from handcraft.rotary.rounding import score_error
from handcraft.rotary.score import Keys
from handcraft.rotary.solve_query import Comparisons, Ints, Kinds, Sources, solve_query

Picks = Literal["latest", "earliest", "any", "every", "counted"]

LOWEST_WAVE = 0.2
"""The least part of its score that a channel keeps at any distance. The longer a channel must be for
this, the longer are queries; a smaller part lets more pairs hold channels."""

SPARE = 1.25
"""A channel is longer by this factor than it must be: it costs nothing but length."""

SHORTER = 0.75
"""Of the positions that are tried for an error message, each time."""


@dataclass(frozen=True)
class ContentScore:
    """Queries and keys of a head that selects by content.

    Args:
        queries: for pair j the components j and j + head_dim/2 of the query. Those of a channel are
            multiplied by what the channel reads at the destination.
        keys: for pair j component j of the key of every token; for a channel it is the factor of what
            the channel reads at the source.
        begin: for pair j what the key of the begin token has besides; a channel must be 0 there.
        channels: how many of the last pairs hold a channel, in order.
        gap: nats by which the source that is wanted leads every other, at every position, in the dtype.
    """

    queries: tuple[tuple[Fraction, Fraction], ...]
    keys: tuple[Fraction, ...]
    begin: tuple[Fraction, ...]
    channels: int
    gap: float

    @property
    def constants(self) -> int:
        """How many of the first pairs hold constants."""
        return len(self.keys) - self.channels


@dataclass(frozen=True)
class Compared(Sources):
    """Sources whose scores are compared at one destination, so that they share the error of the query.

    Lemma. In pair j let e bound the error of the rotated query relative to its length, and f that of
    a rotated key (`ScoreError`). For two keys k and l, turned by their positions and off by dk and dl,
    the computed scores differ by (q + dq)(k + dk - l - dl). That is q(k - l) up to
    |q| (e |k - l| + (1 + e) (|dk| + |dl|)), where |k - l| follows from the angle between the keys, and
    |dk| <= f |k|. Neighbours have nearly the same key in the slow pairs, where queries are long. Sums
    and the last roundings are off as in `ScoreError`, by a part of each score.

    Args:
        rotation: how keys are turned.
        distances: of each source, [source].
        lengths: of its key, in nats for each unit of the length of the query, [source, pair].
        query_error: e, [pair].
        key_error: f, [pair].
    """

    rotation: Rotation
    distances: Ints
    lengths: Floats
    query_error: Floats
    key_error: Floats

    @cached_property
    def _terms(self) -> float:
        """What adding up the products may lose, of the sum of their absolute values."""
        v = float(FLOAT32.unit)
        return self.rotation.head_dim * v / (1 - self.rotation.head_dim * v)

    def _off(self, won: Ints, lost: Ints) -> Floats:
        """What all but the last roundings add, for each unit of the query, [comparison, pair]."""
        one, other = self.lengths[won], self.lengths[lost]
        angles = (self.distances[won] - self.distances[lost])[:, None] * self.rotation.frequencies
        apart = np.sqrt(np.maximum(one**2 + other**2 - 2 * one * other * np.cos(angles), 0))
        e, f = self.query_error, self.key_error
        off = e * apart + (1 + e) * f * (one + other)
        rest: Floats = off + self._terms * (1 + e) * (1 + f) * (one + other)
        return rest

    def leads(self, query: Floats, won: Ints, lost: Ints) -> Floats:
        """By how much each source surely leads another, [comparison]."""
        scores = self.waves @ query
        low, high = self.bounds(query)
        largest = np.maximum(np.abs(low), np.abs(high))
        lengths = np.hypot(*np.split(query, 2))
        found: Floats = scores[won] - scores[lost] - self._off(won, lost) @ lengths
        found -= self.last * (largest[won] + largest[lost])
        return found

    def noise(self, won: Ints, lost: Ints) -> Floats:
        """A bound of the errors of both that is linear in the lengths of the query, [comparison, pair].

        For the last roundings it takes the sum of amplitudes, which is more than the score.
        """
        last = self.last * (self.lengths[won] + self.lengths[lost])
        return self._off(won, lost) + last * (1 + self.relative[won])


def select(picks: Picks, channels: int, rotation: Rotation, dtype: DType, nats: float) -> ContentScore:
    """The score of a head that selects by content.

    Args:
        picks: which of several matches it attends to; ``any`` where there is one, or they share.
        channels: how many hold sources back.
        rotation: how queries and keys are rotated. Text begins at position 1.
        dtype: in which a tool computes.
        nats: by how much the source must lead every other one, see `DType.underflow`.

    Raises:
        CompileError: the window hides the begin token.
        PrecisionError: no query has the gap.
    """
    check_begin(rotation)
    found = longest_lead(picks, channels, rotation, dtype, nats)
    if found is not None and found.gap >= nats:
        return found
    lead = 0.0 if found is None else found.gap
    which = {"any": "one", "every": "all", "counted": "all"}.get(picks, f"the {picks}")
    raise PrecisionError(
        f"a head that selects {which} of the sources that match, by {channels} channels, leads by "
        f"{lead:.1f} nats in {dtype.name}, {nats - lead:.1f} less than the {nats:g} that are needed, "
        f"with head_dim={rotation.head_dim}, theta={rotation.theta:g} and {rotation.positions:,} "
        "positions",
        fix=_what_would_do(picks, channels, rotation, dtype, nats),
        is_tight=True,
    )


def check_begin(rotation: Rotation) -> None:
    """Raise unless every position sees the begin token.

    Raises:
        CompileError: the window hides it.
    """
    if rotation.window is not None and rotation.window < rotation.positions:
        raise CompileError(
            f"with a window of {rotation.window} positions no head finds the begin token where no "
            "source matches",
            fix=phrase(setting("window", rotation.positions), " is enough"),
        )


def longest_lead(
    picks: Picks, channels: int, rotation: Rotation, dtype: DType, nats: float
) -> ContentScore | None:
    """The score with the longest lead, up to `nats`; None where pairs are too few or too fast."""
    if picks in ("every", "counted") or (picks == "any" and not dtype.overflows_first):
        return _shared(channels, rotation, dtype, nats, is_begin_counted=picks == "counted")
    constants = rotation.pairs - channels
    middle = (rotation.text_distances - 1) / 2
    slow = rotation.frequencies[constants:]
    if constants < 1 or (channels and np.cos(slow * middle).min() < LOWEST_WAVE):
        return None
    text = (Fraction(KEY),) * constants + (Fraction(0),) * channels
    more = (-Fraction(KEY),) * (constants - 1) + (Fraction(KEY * (BEGIN - 1)),)
    keys = Keys(text, more + (Fraction(0),) * channels)
    sources, kinds = _compared(keys, rotation, dtype), _comparisons(picks, rotation)
    at_least_0 = [rotation.text_distances] if dtype.overflows_first else []
    direction, _ = solve_query(sources, kinds, at_least_0=np.array(at_least_0, dtype=np.int64))
    direction = _without(direction, channels)
    scale = 1 / sqrt(rotation.head_dim)
    query, gap = rounded_query(direction, sources, kinds, dtype, nats, scale)
    gap = min(gap, _least_of_all(query, sources, picks, rotation))
    if channels:
        low, high = sources.bounds(query)
        count = rotation.text_distances
        needed = float(high[:count].max() - low[count:].min()) + nats
        holding = _channel_queries(needed, slow, middle, rotation, dtype)
        if holding is None:
            return None
        first, second = np.split(query, 2)
        first[constants:], second[constants:] = holding
        query = np.concatenate([first, second])
    of_text = text[:constants] + (Fraction(KEY),) * channels
    return ContentScore(as_pairs(query), of_text, keys.begin, channels, gap)


def _shared(
    channels: int, rotation: Rotation, dtype: DType, nats: float, *, is_begin_counted: bool
) -> ContentScore | None:
    """The score of a head whose matches share the attention; None where pairs are too few or too fast.

    What holds the begin token back is at most `nats` times a small factor; channels hold back more.
    """
    constants = rotation.pairs - channels
    if constants < (0 if is_begin_counted else 1):
        return None
    queries: list[tuple[Fraction, Fraction]] = [(Fraction(0), Fraction(0))] * constants
    begin = [Fraction(0)] * rotation.pairs
    needed = nats
    if not is_begin_counted:
        slow = rotation.frequencies[constants - 1 : constants]
        holding = _holding(nats, slow, rotation, rotation.begin_distances, dtype)
        if holding is None:
            return None
        queries[-1] = as_pairs(holding.ravel())[0]
        begin[constants - 1] = Fraction(-KEY)
        needed += SPARE * float(np.hypot(*holding)[0]) * KEY / sqrt(rotation.head_dim)
    if channels:
        slow = rotation.frequencies[constants:]
        holding = _holding(needed, slow, rotation, rotation.text_distances, dtype)
        if holding is None:
            return None
        queries += as_pairs(holding.ravel())
    text = (Fraction(0),) * constants + (Fraction(KEY),) * channels
    return ContentScore(tuple(queries), text, tuple(begin), channels, nats)


def _holding(
    needed: float, slow: Floats, rotation: Rotation, distances: int, dtype: DType
) -> Floats | None:
    """The queries of pairs that hold sources back, [component, pair]; None where none does."""
    middle = (distances - 1) / 2
    if np.cos(slow * middle).min() < LOWEST_WAVE:
        return None
    return _channel_queries(needed, slow, middle, rotation, dtype, distances)


def _compared(keys: Keys, rotation: Rotation, dtype: DType) -> Compared:
    """Text at each distance, then the begin token at each; a channel is 0 at both."""
    plain = keys.sources(rotation, dtype)
    error = score_error(rotation, dtype)
    u = float(dtype.unit)
    is_exact = _is_power_of_16(
        rotation.head_dim
    )  # then its root, and the root of that, are powers of 2
    distances = np.concatenate(
        [np.arange(rotation.text_distances), np.arange(rotation.begin_distances)]
    )
    return Compared(
        plain.waves,
        plain.relative,
        plain.amplitudes,
        u * (1 + 2**-8) if is_exact else plain.last,
        rotation=rotation,
        distances=distances,
        lengths=plain.amplitudes,
        query_error=error.query - u if is_exact else error.query,
        key_error=error.key - u if is_exact else error.key,
    )


def _is_power_of_16(number: int) -> bool:
    return number & (number - 1) == 0 and (number.bit_length() - 1) % 4 == 0


def _without(direction: Floats, channels: int) -> Floats:
    """A query that is 0 in the pairs of channels."""
    parts = np.array(np.split(direction, 2))
    parts[:, parts.shape[1] - channels :] = 0
    return parts.ravel()


def _comparisons(picks: Picks, rotation: Rotation) -> Kinds:
    """Every match against the next one, and against the begin token, which is behind all of them."""
    count = rotation.text_distances
    text = np.arange(count)
    begin = count + np.arange(1, rotation.begin_distances)  # at each position

    def kinds(low: Floats, high: Floats) -> list[Comparisons]:
        so_far = np.minimum.accumulate(low[:count])
        weakest = np.searchsorted(-so_far, -so_far, side="left")  # the first with this score
        found = [(weakest[: len(begin)], begin)]
        if picks == "latest":
            found.append((text[:-1], text[1:]))
        if picks == "earliest":
            found.append((text[1:], text[:-1]))
        return found

    return kinds


def _least_of_all(query: Floats, sources: Compared, picks: Picks, rotation: Rotation) -> float:
    """The least lead of a match over any other that it must beat, not only over the next one."""
    count = rotation.text_distances
    least = np.inf
    for apart in range(1, count if picks != "any" else 1):
        near, far = np.arange(count - apart), np.arange(apart, count)
        won, lost = (near, far) if picks == "latest" else (far, near)
        least = min(least, float(sources.leads(query, won, lost).min()))
    return least


def _channel_queries(
    needed: float,
    slow: Floats,
    middle: float,
    rotation: Rotation,
    dtype: DType,
    distances: int | None = None,
) -> Floats | None:
    """The queries of the channels, [component, channel]; None where the dtype overflows.

    Each is turned so that its wave is highest at the middle distance. A source that fails a condition
    loses at least `needed` nats, whatever is rounded: errors are a small part of what a channel takes.
    """
    waves = np.cos(slow * middle)
    error = score_error(rotation, dtype)
    part = error.relative[-len(slow) :] * 2 + 2 * error.last
    if (waves <= 2 * part).any():
        return None
    lengths = SPARE * needed / (waves - part) * sqrt(rotation.head_dim) / KEY
    if lengths.max() > dtype.largest / 2:
        return None
    turned = np.array([np.cos(slow * middle), -np.sin(slow * middle)]) * lengths
    unit = np.maximum(np.exp2(np.frexp(turned)[1] - dtype.bits), 1 / GRID)
    rounded: Floats = np.rint(turned / unit) * unit
    angles = np.arange(distances or rotation.text_distances)[:, None] * slow
    scores = np.cos(angles) * rounded[0] - np.sin(angles) * rounded[1]  # [distance, channel]
    least = (scores - part * np.hypot(*rounded)) * KEY / sqrt(rotation.head_dim)
    return rounded if least.min() >= needed else None


def _what_would_do(picks: Picks, channels: int, rotation: Rotation, dtype: DType, nats: float) -> str:
    """A wider head, a wider dtype, or fewer positions with which the gap is reached."""

    def does(other: Rotation, kind: DType = dtype) -> bool:
        found = longest_lead(picks, channels, other, kind, nats)
        return found is not None and found.gap >= nats

    wider = [2**k for k in range(1, WIDEST.bit_length())]
    for head_dim in wider:
        if does(replace(rotation, head_dim=head_dim)):
            return f"head_dim={head_dim} is enough"
    if dtype.bits < FLOAT32.bits:
        for head_dim in _likely(wider):
            if does(replace(rotation, head_dim=head_dim), FLOAT32):
                return f"dtype='float32' is enough, with head_dim={head_dim}"
    positions = int(rotation.positions * SHORTER)
    while positions >= 2:
        for head_dim in _likely(wider):
            if does(replace(rotation, head_dim=head_dim, positions=positions)):
                return f"{positions - 1:,} tokens are few enough, with head_dim={head_dim}"
        positions = int(positions * SHORTER)
    return "select by fewer values, or compile for gpt2"


def _likely(head_dims: Sequence[int]) -> Sequence[int]:
    """The widths that are tried where each takes long."""
    return [each for each in head_dims if each >= 16]
