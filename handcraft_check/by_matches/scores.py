"""Attention scores at positions of one kind: a part for the tokens, one for the positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import UNIT, product_error
from handcraft_check.by_matches.conditions import Condition
from handcraft_check.by_matches.vectors import Kinds, Vectors
from handcraft_check.layers.matrix import Flags, Ids


@dataclass(frozen=True, eq=False)
class Sources:
    """Sources of one kind of position: their keys, and the conditions under which they match.

    Args:
        keys: the keys of one head.
        kinds: these keys by tokens.
        cases: a source matches if all conditions of at least one of these cases hold.
        seen: which of the sources are visible: [destination, source].
        columns: their numbers among all positions: [source].
    """

    keys: Vectors
    kinds: Kinds
    cases: Sequence[Sequence[Condition]]
    seen: Flags
    columns: Ids

    def held(self, queries: Kinds) -> Ids:
        """Which of `cases` two tokens allow, as the bits of a number: [query, key]."""
        found = np.zeros((len(queries), len(self.kinds)), dtype=np.int64)
        for number, case in enumerate(self.cases):
            allowed = np.ones(found.shape, dtype=bool)
            for each in case:
                here = queries.codes(each.atoms[0], each.here)
                there = self.kinds.codes(each.atoms[1], each.there)
                allowed &= each.holds[np.ix_(here, there)]
            found += allowed.astype(np.int64) << number
        return found

    def matching(self, bits: int) -> Flags:
        """Which positions match if the tokens allow some of `cases`: [destination, source]."""
        found = np.zeros(self.seen.shape, dtype=bool)
        for number, case in enumerate(self.cases):
            if bits >> number & 1:
                found |= np.logical_and.reduce([self.seen, *(each.positions for each in case)])
        return found


@dataclass(frozen=True, eq=False)
class Scores:
    """What tokens and positions add to the scores of some queries.

    A query is a + i, where a depends on tokens and i on the position, and a key is k + j in the same
    way. Their product is a k + a j + i j + i k. In a j, a fixed vector replaces a; the difference, and
    i k, are counted as errors. The product of the constant part of a query with the keys at one kind of
    position is added to the part of the positions.

    Args:
        queries: how they are made.
        kinds: of these, by tokens.
        sources: the keys.
        factor: what products are multiplied by.
        terms: how many dimensions are summed.
    """

    queries: Vectors
    kinds: Kinds
    sources: Sequence[Sources]
    factor: float
    terms: float

    @cached_property
    def keys(self) -> Array:
        """The vectors of all keys: [key, dimension]."""
        return np.concatenate([source.kinds.vectors for source in self.sources])

    @cached_property
    def common(self) -> list[float]:
        """What the constant part of a query makes of the keys at each kind of position."""
        start = self.queries.start
        return [float((source.kinds.vectors @ start).mean()) * self.factor for source in self.sources]

    @cached_property
    def places(self) -> list[Array]:
        """What positions add: [destination, source] each."""
        reference = self.kinds.vectors.mean(axis=0)
        return [
            (reference + self.queries.places) @ source.keys.places.T * self.factor + common
            for source, common in zip(self.sources, self.common, strict=True)
        ]

    def of_tokens(self, some: Kinds) -> tuple[Array, Array]:
        """What tokens add, and how far a score may be off by the key and by rounding.

        Let e be the error of a query q, and d that of a key k. The computed product is (q + e) (k + d).
        The error that is returned bounds (q + e) d and the rounding; `of_queries` bounds e k.

        Returns:
            [query, key] each.
        """
        found = [self._of_source(source, some) for source in self.sources]
        center, error = (np.concatenate(each, axis=1) for each in zip(*found, strict=True))
        return center * self.factor - self._repeated, error * self.factor

    @cached_property
    def _repeated(self) -> Array:
        """`common`, for each key: [key]."""
        return np.repeat(self.common, [len(source.kinds) for source in self.sources])

    def _of_source(self, source: Sources, some: Kinds) -> tuple[Array, Array]:
        kinds, keys, vectors = source.kinds, source.keys, source.kinds.vectors
        beside = self.queries.place + some.box + some.shift[:, None] * np.abs(self.queries.mean)
        apart = np.abs(some.vectors - self.queries.fixed) + self.queries.place
        beside = beside + some.scale[:, None] * apart  # of the position, and of all errors
        size = np.abs(some.vectors) + beside  # [query, dimension]
        moved = np.abs(vectors - keys.fixed)
        largest = np.abs(vectors) + keys.place + kinds.box + kinds.shift[:, None] * np.abs(keys.mean)
        largest += kinds.scale[:, None] * (moved + keys.place)  # [key, dimension]
        center = some.vectors @ vectors.T
        error = size @ kinds.box.T
        error += (np.abs(some.vectors @ keys.mean) + beside @ np.abs(keys.mean))[:, None] * kinds.shift
        scaled = np.abs(center - (some.vectors @ keys.fixed)[:, None]) + beside @ moved.T
        error += kinds.scale * (scaled + (size @ keys.place)[:, None])
        magnitude = size @ largest.T
        error += product_error(magnitude, np.full_like(magnitude, self.terms + 2))
        return center, error + 4 * UNIT * magnitude

    @cached_property
    def by_mean(self) -> Array:
        """What each key makes of an error of the mean of a query: [key]."""
        return np.asarray(self.keys @ self.queries.mean * self.factor)

    def of_queries(self, some: Kinds, around: Array) -> Array:
        """How far e k of a query may differ between two keys, without the error of the scale.

        Args:
            some: the queries.
            around: for each, the number of the other key: [query].

        Returns:
            [query, key].
        """
        found = some.shift[:, None] * np.abs(self.by_mean - self.by_mean[around][:, None])
        for dimension in np.flatnonzero(np.ptp(self.keys, axis=0) > 0).tolist():
            keys, box = self.keys[:, dimension], some.box[:, dimension] * self.factor
            found += box[:, None] * np.abs(keys - keys[around][:, None])
        return np.asarray(found)

    def of_any_keys(self, some: Kinds) -> Array:
        """The same for any two keys: [query]."""
        return np.asarray(some.box @ np.ptp(self.keys, axis=0) * self.factor)

    def of_positions(self, some: Kinds) -> Array:
        """How far the difference of two scores may be off besides: [query].

        By what positions of keys make of errors of the query; by what positions add to it if that
        depends on the query, and tokens if that depends on the position; and by the scale of the query,
        but for what it multiplies differences of what tokens add by.
        """
        queries, reference = self.queries, self.kinds.vectors.mean(axis=0)
        largest = np.max([source.keys.place for source in self.sources], axis=0)
        places = np.concatenate([source.keys.places for source in self.sources])
        found = np.ptp((some.vectors - reference) @ places.T, axis=1)
        tokens = np.ptp(queries.places @ self.keys.T, axis=1).max()
        found += tokens + 2 * (some.box @ largest + some.shift * (np.abs(queries.mean) @ largest))
        scaled = np.ptp((some.vectors - queries.fixed) @ places.T, axis=1) + tokens
        scaled += np.ptp(self.keys @ queries.fixed - self._repeated / self.factor)
        scaled += 2 * queries.place @ largest
        return np.asarray((found + some.scale * scaled) * self.factor)
