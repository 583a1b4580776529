"""Conditions of a selection as score terms: channels that multiply a query by a key."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, log2
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from handcraft.circuits import sinusoidal
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Numbers, Reading
from handcraft.display import short_repr
from handcraft.errors import CompileError
from handcraft.language.graph.domain import Finite, Value, as_number, magnitude
from handcraft.language.graph.node import Comparison, Match, is_position
from handcraft.language.graph.source_counts import holding

Ints = npt.NDArray[np.int64]

ROWS_UP_TO = 2048
"""The most channels that one condition may take."""


@short_repr
@dataclass(frozen=True)
class Channel:
    """One term of an attention score: a query at the destination times a key at the source."""

    query: Reading
    key: Reading


@dataclass(frozen=True)
class ScoreTerms:
    """A condition as channels: their sum is highest where it is true, else lower by the gap or more.

    Args:
        channels: the terms.
        gap: the smallest difference.
        most: the sum where it is true, with the constants of keys; None if it depends on the query.
        reach: the largest sum, without the constants of keys.
        size: the largest absolute sum, with or without the constants of keys.
        cost: the most by which the sum is lower where the condition is false.
    """

    channels: tuple[Channel, ...]
    gap: int
    most: int | None = None
    reach: int = 1
    size: int = 1
    cost: int = 1


def score_terms(match: Match, features: Features, *, flat: bool, largest: int) -> ScoreTerms:
    """The channels of a condition.

    Args:
        match: the condition.
        features: allocates what the channels read.
        flat: whether every failure must cost the same.
        largest: the largest whole number that a weight may be; 0 if only small ones are wanted.
    """
    keys, queries = _values(match.key), _values(match.query)
    form = equality_form(match, features, largest) if not flat else "table"
    if form == "parabola":
        return _parabola(match, features, _ordered([*keys, *queries]))
    if form == "bits":
        return _bits(match, features, _ordered(keys))
    if form == "waves":
        return _waves(match, features, _ordered(keys))
    if form == "one-hot":
        return _one_hot(match, features, _ordered(keys))
    zero = features.normed and (flat or not features.in_bits)
    return _table(match, features, keys, queries, keeps_zero=zero)


Form: TypeAlias = Literal["parabola", "bits", "waves", "one-hot", "table"]
"""How a condition becomes channels."""


def equality_form(match: Match, features: Features, largest: int) -> Form:
    """How an equality is decided: as asked for, if it names a position, else in the cheapest way.

    Args:
        match: the condition; one that is no equality is a table.
        features: what is asked for.
        largest: the largest whole number that a weight may be.
    """
    if match.relation is not Comparison.EQ:
        return "table"
    if is_position(match.key) and features.positions != "auto":
        return _FORMS[features.positions]
    if is_on_parabola(match, largest) and not features.in_bits:
        return "parabola"
    queries = _values(match.query)
    many = len({*_values(match.key), *queries}) > 4 and len(queries) > 1
    return "bits" if many or features.in_bits else "table"


_FORMS: Mapping[str, Form] = {
    "one-hot": "one-hot",
    "binary": "bits",
    "sinusoidal": "waves",
}
"""How each encoding of positions decides that two are equal."""


def is_on_parabola(match: Match, largest: int) -> bool:
    """Whether an equality becomes a parabola: its squares are exact, and it saves channels.

    Equality with a position becomes a parabola only if every query has a unique nearest position.
    """
    keys, queries = _values(match.key), _values(match.query)
    union = _ordered([*keys, *queries])
    names_position = is_position(match.key)
    if len(union) <= 2 or (len(queries) == 1 and not names_position):
        return False
    scale = _scale(union)
    if names_position and _is_between(union, scale, keys):
        return False
    return max(n * n for n in scale.values()) <= largest


def _is_between(union: Sequence[Value], scale: Mapping[Value, int], keys: Sequence[Value]) -> bool:
    """Whether some value is half way between two neighbouring keys."""
    places = sorted(scale[key] for key in keys)
    middles = {low + high for low, high in pairwise(places)}
    taken = set(places)
    return any(2 * scale[v] in middles and scale[v] not in taken for v in union)


def _values(node: object) -> tuple[Value, ...]:
    domain = getattr(node, "domain")  # noqa: B009
    assert isinstance(domain, Finite)
    return domain.values


def _ordered(values: Sequence[Value]) -> list[Value]:
    """Each value once; numbers in order."""
    found = list(dict.fromkeys(values))
    numbers = [v for v in found if isinstance(v, int | Fraction) and not isinstance(v, bool)]
    return sorted(found, key=as_number) if len(numbers) == len(found) else found


def nearest(query: Value, keys: Sequence[Value]) -> int:
    """The index of the key that stands for a query that is not a key: the nearest number, or the first.

    Keys that are numbers are in order.
    """
    if not all(isinstance(value, int | Fraction) for value in (query, keys[0])):
        return 0
    number = as_number(query)
    after = bisect_left(keys, number, key=as_number)
    beside = [i for i in (after - 1, after) if 0 <= i < len(keys)]
    return min(beside, key=lambda i: magnitude(as_number(keys[i]) - number))


def _scale(union: Sequence[Value]) -> dict[Value, int]:
    """A whole number for each value, centred: the number itself if it is whole, else its index."""
    if all(isinstance(v, int) and not isinstance(v, bool) for v in union):
        places = {v: int(as_number(v)) for v in union}
        if places[union[-1]] - places[union[0]] <= 4 * len(union):
            middle = (places[union[0]] + places[union[-1]]) // 2
            return {v: n - middle for v, n in places.items()}
    middle = len(union) // 2
    return {v: i - middle for i, v in enumerate(union)}


def _parabola(match: Match, features: Features, union: Sequence[Value]) -> ScoreTerms:
    """2 q k - k k is highest where k = q: it is q q - (q - k)(q - k), and q q is the same for all."""
    at = _scale(union)
    twice = features.read(match.query, tuple(2 * at[v] for v in _values(match.query)))
    plain = features.read(match.key, tuple(at[v] for v in _values(match.key)))
    square = features.read(match.key, tuple(-at[v] * at[v] for v in _values(match.key)))
    most = max(n * n for n in at.values())
    return ScoreTerms((Channel(twice, plain), Channel(Reading((), 1), square)), 1, size=3 * most)


def _bits(match: Match, features: Features, keys: Sequence[Value]) -> ScoreTerms:
    """The bits of the index among the keys, each as +1 or -1: every bit that differs costs 2.

    A query that is not a key equals none; it counts as the first key, or if a number as the nearest.
    """
    places = _places(match, keys)
    width = max(1, ceil(log2(len(keys))))

    def bit(values: Sequence[Value], k: int) -> Numbers:
        return tuple(1 if places[v] >> k & 1 else -1 for v in values)

    channels = tuple(
        Channel(
            features.read(match.query, bit(_values(match.query), k)),
            features.read(match.key, bit(_values(match.key), k)),
        )
        for k in range(width)
    )
    return ScoreTerms(channels, 2, width, 2 * width if features.in_bits else 1, 2 * width, 2 * width)


def _places(match: Match, keys: Sequence[Value]) -> dict[Value, int]:
    """For each key its index, and for each other query that of the key that stands for it."""
    places = {v: i for i, v in enumerate(keys)}
    for query in _values(match.query):
        if query not in places:
            places[query] = nearest(query, keys)
    return places


def _one_hot(match: Match, features: Features, keys: Sequence[Value]) -> ScoreTerms:
    """A channel for each key that is looked for: 1 where query and key are it."""
    places = _places(match, keys)
    here = [places[v] for v in _values(match.query)]
    there = [places[v] for v in _values(match.key)]
    channels = tuple(
        Channel(
            features.read(match.query, tuple([int(place == key) for place in here])),
            features.read(match.key, tuple([int(place == key) for place in there])),
        )
        for key in sorted(set(here))
    )
    return ScoreTerms(channels, 1, 1)


def _waves(match: Match, features: Features, keys: Sequence[Value]) -> ScoreTerms:
    """Cosines and sines of the index among the keys: two that differ cost at least 1 in all."""
    places = _places(match, keys)
    code = sinusoidal("position", range(len(keys)))
    words = [code.codeword(i) for i in range(len(keys))]

    def wave(values: Sequence[Value], i: int) -> Numbers:
        return tuple([words[places[value]][i] for value in values])

    channels = tuple(
        Channel(
            features.read(match.query, wave(_values(match.query), i), keeps_zero=True),
            features.read(match.key, wave(_values(match.key), i), keeps_zero=True),
        )
        for i in range(code.width)
    )
    most = code.width // 2
    return ScoreTerms(channels, 1, most, 2 * most, 2 * most, 2 * most)


def _table(
    match: Match,
    features: Features,
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    *,
    keeps_zero: bool,
) -> ScoreTerms:
    """A channel for every distinct row of the condition's table, or for every distinct column.

    Args:
        match: the condition.
        features: allocates what the channels read.
        keys: their values.
        queries: their values.
        keeps_zero: whether selected sources must have a score of 0, so that no scale changes it.
    """
    grid = holding(match, keys, queries).astype(np.int64)  # [query, key]
    rows = [(row, here) for row, here in _different(grid) if 0 < row.sum() < len(keys)]
    columns = [(column, there) for column, there in _different(grid.T) if column.any()]
    if min(len(rows), len(columns)) > ROWS_UP_TO:
        fix = "select by fewer values, or .assume() those that occur"
        if match.relation is Comparison.NEQ:
            fix += "; or use .latest, with other conditions that depend on the source alone"
        raise CompileError(
            f"selecting `{match.key}` by `{match.query}` takes {min(len(rows), len(columns)):,} "
            "channels",
            where=match.query.place or match.key.place,
            fix=fix,
        )
    if len(rows) <= len(columns) or keeps_zero:
        less = int(keeps_zero)  # selected sources have 0 then, and all others -1
        channels = tuple(
            Channel(
                features.read(match.query, _indicator(len(queries), here), keeps_zero=keeps_zero),
                features.read(match.key, tuple((row - less).tolist()), keeps_zero=keeps_zero),
            )
            for row, here in rows
        )
    else:
        channels = tuple(
            Channel(
                features.read(match.query, tuple(column.tolist())),
                features.read(match.key, _indicator(len(keys), there)),
            )
            for column, there in columns
        )
    most = None if grid.all(axis=1).any() else 1 - int(keeps_zero)
    return ScoreTerms(channels, 1, most)


def _different(grid: Ints) -> list[tuple[Ints, list[int]]]:
    """The distinct rows, each with the indices where it occurs."""
    found: dict[bytes, list[int]] = {}
    for i, row in enumerate(grid):
        found.setdefault(row.tobytes(), []).append(i)
    return [(grid[places[0]], places) for places in found.values()]


def _indicator(size: int, members: Sequence[int]) -> Numbers:
    numbers = [0] * size
    for i in members:
        numbers[i] = 1
    return tuple(numbers)


def scaled(channels: Sequence[Channel], factor: int) -> tuple[Channel, ...]:
    """The same channels, multiplied by `factor`, a power of two.

    Query and key share it, so that neither weight grows too large for half precision.
    """
    half = 1 << factor.bit_length() // 2
    return tuple(Channel(c.query * (factor // half), c.key * half) for c in channels)
