"""Attention patterns by position on a circle: two dimensions for all of them.

Position p has the angle 2 pi p / P, and the score of a pair is S times the cosine of the angle between
query and key. If all sources of a destination lie at one place of the circle, the query has that
angle. If they lie at two neighbouring places, with c times as much weight at the first, the query lies
between them, at an angle u from the first and w from the second, with

    u + w = 2 pi / P  and  S (cos u - cos w) = log c

so that softmax gives them attention in the ratio c to 1. All other positions are further away, and S
decides how little attention is left for them (Vaswani et al. 2017, 3.5, for positions as angles). A
position that is no source of any head may have a short key: it gets almost no attention at any angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import cos, inf, log, pi, sin

import numpy as np
import numpy.typing as npt

from handcraft.compiler.passes.ir import WeightedSum
from handcraft.dtype import DType

Floats = npt.NDArray[np.float64]

SHORT = 1 / 4
"""The length of the key of a position that is no source of any head."""

STRENGTHS = tuple(16 * 1.15**n for n in range(45))
"""The values of S that are tried."""

LEFT = 1 / 128
"""The largest error of attention weights, added up over all sources of a destination."""


ROUNDED = 1e-5
"""By how much an attention weight may depend on the order of summation."""


@dataclass(frozen=True)
class Circle:
    """Angles for all positions, and the queries of each head.

    Args:
        places: for each position, its place in the plane.
        queries: for each head the matrix from the place of a destination to its query.
        missed: for each head, the largest amount of attention on wrong sources.
    """

    places: tuple[tuple[float, float], ...]
    queries: tuple[tuple[tuple[float, float], tuple[float, float]], ...]
    missed: tuple[float, ...]


def find_circle(
    sums: Sequence[WeightedSum], context: int, dtype: DType, noise: float = 0.0
) -> Circle | None:
    """The smallest circle on which every sum finds its sources; None where there is none.

    Args:
        sums: with positive weights, all read at the same positions.
        context: the number of positions.
        dtype: in which places and queries are rounded.
        noise: the relative error of a score.
    """
    asking = _Asking.of(sums, context, dtype, noise)
    for period in range(2, 2 * context + 1):
        turns = [turn for node in sums if (turn := _turn(node, period))]
        if len(turns) < len(sums):
            continue
        strongest = replace(asking, noise=0.0).circle(turns, period, STRENGTHS[-1])
        if strongest is None or max(strongest.missed) > LEFT:  # some other source is in the way
            continue
        best: Circle | None = None
        for strength in STRENGTHS:
            most = LEFT if best is None else max(best.missed)
            plan = asking.circle(turns, period, strength, most)
            if plan is not None and (best is None or max(plan.missed) < most):
                best = plan
        if best is not None:
            return best
    return None


@dataclass(frozen=True)
class _Turn:
    """The distance from a destination back to its sources, in places of the circle.

    Args:
        near: the distance of the sources with the largest weight.
        side: where the others are: 1 place before those, or 1 behind (-1); 0 if there are none.
        ratio: the weight of the first, divided by that of the others.
    """

    near: int
    side: int = 0
    ratio: float = 1.0


def _turn(node: WeightedSum, period: int) -> _Turn | None:
    """The turn of a head; None if destinations need different ones, or sources lie at three places."""
    found: set[_Turn] = set()
    for here, sources in node.rows:
        weights = {weight for _, weight in sources}
        most = max(weights)
        near = {(here - there) % period for there, weight in sources if weight == most}
        far = {(here - there) % period for there, weight in sources if weight != most}
        if len(near) > 1 or len(far) > 1 or len(weights) > 2 or min(weights) <= 0:
            return None
        (first,) = near
        if not far:
            found.add(_Turn(first))
            continue
        (second,) = far
        side = {1: 1, period - 1: -1}.get((second - first) % period)
        if side is None or period == 2:
            return None
        found.add(_Turn(first, side, float(most) / float(min(weights))))
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True)
class _Asking:
    """The attention weights that a circle must produce, and how exact they can be.

    Args:
        wanted: for each sum the attention weights, [destination, source].
        destinations: the positions of its rows.
        sources: the positions that some sum reads.
        context: the number of positions.
        dtype: in which places and queries are rounded.
        noise: the relative error of a score.
    """

    wanted: tuple[Floats, ...]
    destinations: tuple[int, ...]
    sources: frozenset[int]
    context: int
    dtype: DType
    noise: float

    @classmethod
    def of(cls, sums: Sequence[WeightedSum], context: int, dtype: DType, noise: float) -> _Asking:
        """What some weighted sums need."""
        sources = frozenset(there for node in sums for _, row in node.rows for there, _ in row)
        wanted = tuple(np.zeros((len(node.rows), context)) for node in sums)
        for shares, node in zip(wanted, sums, strict=True):
            for row, weights in zip(shares, node.attention_weights.values(), strict=True):
                for there, weight in weights:
                    row[there] = float(weight)
        return cls(wanted, tuple(here for here, _ in sums[0].rows), sources, context, dtype, noise)

    @cached_property
    def _here(self) -> npt.NDArray[np.int64]:
        return np.array(self.destinations)

    @cached_property
    def _seen(self) -> npt.NDArray[np.bool_]:
        """Whether a destination sees a source: [destination, source]."""
        return np.arange(self.context) <= self._here[:, None]

    def circle(
        self, turns: Sequence[_Turn], period: int, strength: float, most: float = inf
    ) -> Circle | None:
        """Places and queries of one period and one strength, with the attention they miss.

        Args:
            turns: one for each sum.
            period: the number of places of the circle.
            strength: the largest score.
            most: what a head may miss at most; None where one misses more.
        """
        step = 2 * pi / period
        asides = [aside for turn in turns if (aside := _aside(turn, step, strength)) is not None]
        if len(asides) < len(turns):
            return None
        angles = [
            -step * (turn.near + turn.side * aside) for turn, aside in zip(turns, asides, strict=True)
        ]
        places = list(_places(period, self.context))
        back = 0.0
        if self.sources.isdisjoint(self.destinations):
            # a position that is never a source is stored at the angle that it attends to
            back, strength = angles[0], strength / SHORT
            turned = _places(period, self.context, back)
            for p in set(range(self.context)) - self.sources:
                x, y = turned[p]
                places[p] = SHORT * x, SHORT * y
        queries = []
        for angle in angles:
            x, y = _place(angle - back)
            queries.append(((strength * x, -strength * y), (strength * y, strength * x)))
        held = self._rounded(np.array(places))
        missed: list[float] = []
        for wanted, query in zip(self.wanted, queries, strict=True):
            missed.append(self._missed(wanted, np.array(query), held))
            if missed[-1] > most:
                return None
        return Circle(tuple(places), tuple(queries), tuple(missed))

    def _rounded(self, numbers: Floats) -> Floats:
        return numbers.astype(self.dtype.numpy).astype(np.float64)

    def _missed(self, wanted: Floats, query: Floats, held: Floats) -> float:
        """The total error of the attention weights at the worst destination.

        If some scores are up to e nats too large, attention weights have a total error of 2 tanh(e/4).
        It is largest if half of the attention gains and the other half does not.
        """
        asked = self._rounded(held[self._here] @ self._rounded(query).T)  # [destination, 2]
        found = self._rounded(asked @ held.T)
        scores = np.where(self._seen, found, -np.inf)  # [destination, source]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        astray = np.abs(powers / powers.sum(axis=1, keepdims=True) - wanted).sum(axis=1)
        shaken = 2 * np.tanh(self.noise * np.abs(np.where(self._seen, found, 0)).max(axis=1) / 4)
        return float((astray + shaken).max()) + ROUNDED


def _aside(turn: _Turn, step: float, strength: float) -> float | None:
    """The place of the query between two places, as a part of a step; None if S is too small."""
    if turn.side == 0:
        return 0.0
    low, high = 0.0, 0.5
    wanted = log(turn.ratio)
    if strength * (1 - cos(step)) < wanted:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        gained = strength * (cos(middle * step) - cos((1 - middle) * step))
        low, high = (middle, high) if gained > wanted else (low, middle)
    return low


@lru_cache(maxsize=8)
def _places(period: int, context: int, back: float = 0.0) -> tuple[tuple[float, float], ...]:
    """All places of a circle, turned by an angle; they are the same for every strength."""
    step = 2 * pi / period
    return tuple(_place(step * p + back) for p in range(context))


def _place(angle: float) -> tuple[float, float]:
    return _clean(cos(angle)), _clean(sin(angle))


def _clean(number: float) -> float:
    """The number, or 0 if only rounding keeps it from 0."""
    return 0.0 if abs(number) < 1e-12 else number
