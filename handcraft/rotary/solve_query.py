"""A linear program for the query that puts some sources far above others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.rotary.rotation import Floats

Ints = npt.NDArray[np.int64]

PHASES = 16
"""Directions of a pair among which the program chooses. The length of a query is at most
1 / cos(pi / 16) = 1.02 times less than their sum, so more of them would gain at most 2 %."""

ROUNDS = 60
"""How often comparisons are added at most; the longest of the benchmarks takes 12."""

ADDED = 48
"""How many comparisons of one kind are added in a round at most; fewer take more rounds, more make the
program larger. The time of a look-back over 1,024 positions changes little between 16 and 100."""

TOLERANCE = 1e-6
"""Of a gap, in nats per nat of amplitude; the solver's own is 1e-7."""


@dataclass(frozen=True)
class Sources:
    """What a query is compared with: tokens at some distance, of the text or the begin token.

    Args:
        waves: the score in nats, for each component of a query, [source, 2 * pair].
        relative: a bound of its error before the sum is rounded, in nats for each unit of the length of
            the query in a pair, [source, pair].
        amplitudes: the greatest score in nats, for each unit of this length, [source, pair].
        last: the relative error that rounding the sum adds, see `ScoreError`.
    """

    waves: Floats
    relative: Floats
    amplitudes: Floats
    last: float

    def bounds(self, query: Floats) -> tuple[Floats, Floats]:
        """The least and the greatest score that a tool can compute, of each source.

        Args:
            query: [2 * pair]; all first components come before all second ones.
        """
        scores = self.waves @ query  # [source]
        error = self.relative @ np.hypot(*np.split(query, 2))  # [source, pair] @ [pair] -> [source]
        error += self.last * (np.abs(scores) + error)
        return scores - error, scores + error

    def leads(self, query: Floats, won: Ints, lost: Ints) -> Floats:
        """By how much each source surely leads another, [comparison].

        Args:
            query: [2 * pair].
            won: those that must win, [comparison].
            lost: over which each, [comparison].
        """
        low, high = self.bounds(query)
        return low[won] - high[lost]

    def noise(self, won: Ints, lost: Ints) -> Floats:
        """A bound of both errors that is linear in the lengths of the query, [comparison, pair]."""
        relative, amplitudes = (each[won] + each[lost] for each in (self.relative, self.amplitudes))
        return relative * (1 + self.last) + self.last * amplitudes


Comparisons = tuple[Ints, Ints]
"""Sources that must win, and over which source each, [comparison] and [comparison]."""

Kinds = Callable[[Floats, Floats], list[Comparisons]]
"""For the least and the greatest score of every source, the comparisons of each kind. Of those that
follow from others only the tightest need to be there; neighbors in a list are about neighbors."""


def solve_query(sources: Sources, kinds: Kinds, at_least_0: Ints) -> tuple[Floats, float]:
    """The query for which the least gap is greatest, among those whose pairs have lengths of sum 1.

    Comparisons that are violated are added to the program until there are none (cutting planes).

    Args:
        sources: what is compared.
        kinds: all comparisons.
        at_least_0: sources whose score must be 0 or more.

    Returns:
        The query, [2 * pair], and its gap in nats. A gap of 0 comes with the query 0: none has one.
    """
    pairs = sources.relative.shape[1]
    angles = 2 * np.pi * np.arange(PHASES) / PHASES
    turned = np.array([np.cos(angles), np.sin(angles)])  # [component, phase]
    program = _Program(pairs * PHASES)

    def columns(waves: Floats) -> Floats:  # [row, 2 * pair] -> [row, pair * phase]
        first, second = np.split(waves, 2, axis=1)
        along = first[:, :, None] * turned[0] + second[:, :, None] * turned[1]
        rows: Floats = along.reshape(len(waves), -1)
        return rows

    for source in at_least_0:
        program.add(columns(sources.waves[source : source + 1]), gap=0.0)
    query, gap = np.zeros(2 * pairs), 1.0  # with this query all comparisons are violated
    seen: set[tuple[int, int]] = set()
    for _ in range(ROUNDS):
        low, high = sources.bounds(query)
        fresh = []
        for winners, losers in kinds(low, high):
            if len(winners):
                worst = _local_minima(sources.leads(query, winners, losers), gap - TOLERANCE)
                fresh += list(zip(winners[worst].tolist(), losers[worst].tolist(), strict=True))
        fresh = [pair for pair in fresh if pair not in seen]
        if not fresh:
            break
        seen.update(fresh)
        won, lost = np.array(fresh).T
        noise = np.repeat(sources.noise(won, lost), PHASES, axis=1)
        program.add(columns(sources.waves[won] - sources.waves[lost]) - noise, gap=-1.0)
        lengths, gap = program.solve()
        query = (turned @ lengths.reshape(pairs, PHASES).T).ravel()  # [component, pair] -> [2 * pair]
    return query, gap


def _local_minima(gaps: Floats, below: float) -> Ints:
    """The places of the smallest gaps, of neighbors only the smallest, at most `ADDED`."""
    padded = np.concatenate([[np.inf], gaps, [np.inf]])
    is_lowest = (gaps <= padded[:-2]) & (gaps <= padded[2:]) & (gaps < below)
    places = np.flatnonzero(is_lowest)
    if len(places) > ADDED:  # equal gaps, as those of a query of 0, are taken evenly spread
        spread = places[np.linspace(0, len(places) - 1, ADDED // 2).astype(int)]
        lowest = places[np.argsort(gaps[places], kind="stable")[: ADDED // 2]]
        places = np.union1d(spread, lowest)
    return places


def least_gap(query: Floats, sources: Sources, kinds: Kinds) -> float:
    """The least gap of all comparisons in nats, whatever a tool rounds.

    Args:
        query: [2 * pair].
        sources: what is compared.
        kinds: all comparisons; those left out must follow from the others.
    """
    low, high = sources.bounds(query)
    compared = kinds(low, high)
    return min(float(sources.leads(query, *each).min()) for each in compared if len(each[0]))


class _Program:
    """Maximize a gap over lengths of at least 0 whose sum is at most 1; rows are added in between.

    HiGHS works on one thread with its own fixed seed, so the same program has the same solution.
    """

    def __init__(self, lengths: int) -> None:
        import highspy

        self._count = lengths
        # The solver itself: the class around it prints its licence when it is made.
        self._solver: Any = highspy._Highs()  # type: ignore[attr-defined]
        self._infinity = highspy.kHighsInf
        self._solver.setOptionValue("output_flag", False)
        self._solver.setOptionValue("parallel", "off")
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = lengths + 1, 1
        program.col_cost_ = np.concatenate([np.zeros(lengths), [-1.0]])
        program.col_lower_ = np.zeros(lengths + 1)
        program.col_upper_ = np.concatenate([np.ones(lengths), [np.inf]])
        program.row_lower_, program.row_upper_ = np.array([-self._infinity]), np.ones(1)
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = np.array([0, lengths])
        program.a_matrix_.index_, program.a_matrix_.value_ = np.arange(lengths), np.ones(lengths)
        self._solver.passModel(program)

    def add(self, rows: Floats, gap: float) -> None:
        """Require that rows @ lengths + gap * the gap is at least 0, for each row, [row, length]."""
        count = len(rows)
        values = np.concatenate([rows, np.full((count, 1), gap)], axis=1)
        self._solver.addRows(
            count,
            np.zeros(count),
            np.full(count, self._infinity),
            values.size,
            (np.arange(count) * (self._count + 1)).astype(np.int32),
            np.tile(np.arange(self._count + 1, dtype=np.int32), count),
            values.ravel(),
        )

    def solve(self) -> tuple[Floats, float]:
        """The lengths, [length], and the gap."""
        import highspy

        self._solver.run()
        status = self._solver.getModelStatus()
        assert status == highspy.HighsModelStatus.kOptimal, status
        solution = np.array(self._solver.getSolution().col_value)
        return solution[: self._count], float(solution[self._count])
