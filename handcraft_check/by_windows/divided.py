"""Cases in front of a block, divided where its hidden units distinguish tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_cases.found import BudgetError
from handcraft_check.by_cases.states import combinations, distinct
from handcraft_check.by_windows.cases import Cases, in_steps
from handcraft_check.by_windows.few_units import Open
from handcraft_check.by_windows.sums import NormedSums
from handcraft_check.layers.matrix import Ids

if TYPE_CHECKING:
    from handcraft_check.by_windows.window_model import WindowModel

COLUMNS = 6
"""Rows of few whole numbers are told apart by tables."""


@dataclass(frozen=True, eq=False)
class Divided:
    """Cases that are not divided further in front of a block.

    Args:
        cases: these.
        normed: the normalized stream that hidden units read.
        open: those that are not shown to be off.
    """

    cases: Cases
    normed: NormedSums
    open: Open


def divided(
    model: WindowModel, layer: int, cases: Cases, stream: Stream, step: int, most: int
) -> Iterator[Divided]:
    """Divide cases until no token of a set decides whether a hidden unit is on.

    What is known of the stream of a case holds for each of its parts.

    Args:
        model: computes them.
        layer: the number of the block.
        cases: these.
        stream: what is known of them beside tokens and positions.
        step: how many are looked at together.
        most: how many they may become.

    Raises:
        BudgetError: they would become more.
    """
    block, activation = model.model.blocks[layer], model.model.activation
    waiting, count = [(cases, stream)], 0
    while waiting:
        cases, stream = waiting.pop()
        normed = model.model.normed_sums(model.sums(cases, stream), block.ln_2)
        found = Open.of(normed, block.opening, *normed.not_below(block.opening, -activation.straight))
        doubtful = found.where(found.states(activation) == 1)
        parts = {
            row: pieces
            for row in np.unique(doubtful.rows).tolist()
            if (pieces := _pieces(model, layer, cases, normed, doubtful, row)) is not None
        }
        is_settled = np.ones(len(cases), dtype=bool)
        is_settled[list(parts)] = False
        settled = np.flatnonzero(is_settled)
        count += len(settled) + sum(len(pieces) for pieces in parts.values())
        if count > most:
            raise BudgetError
        if len(settled) == len(cases):
            yield Divided(cases, normed, found)
            continue
        if len(settled):
            kept = found.where(is_settled[found.rows])
            rows = np.searchsorted(settled, kept.rows)
            yield Divided(cases.rows(settled), normed.rows(settled), Open(rows, kept.units, kept.read))
        parents = np.repeat(list(parts), [len(pieces) for pieces in parts.values()])
        smaller = Cases(cases.groups[parents], np.concatenate(list(parts.values())))
        count -= len(smaller)
        for some in in_steps(len(smaller), step):
            waiting.append((smaller.rows(some), stream[parents[some]]))


def _pieces(
    model: WindowModel, layer: int, cases: Cases, normed: NormedSums, doubtful: Open, row: int
) -> Array | None:
    """What becomes of a case: its sets, with one of them in parts; None for no atom that helps.

    Args:
        model: computes it.
        layer: the number of the block.
        cases: it is one of these.
        normed: the normalized stream of each.
        doubtful: the units that are neither off nor straight.
        row: which case it is.

    Returns:
        [case, atom].
    """
    matrix, activation = model.model.blocks[layer].opening, model.model.activation
    pairs = slice(*np.searchsorted(doubtful.rows, [row, row + 1]))
    units, read = doubtful.units[pairs], doubtful.read[pairs]
    low, high = read.center - read.error, read.center + read.error
    chosen, group = cases.chosen[row], int(cases.groups[row])
    best, least = None, len(units) * (1 - 1e-9)
    for atom in np.flatnonzero(chosen >= model.sets.vocabulary).tolist():
        part = normed.sums.parts[atom - len(chosen)]
        at = model.alternatives(atom, group, int(chosen[atom]))
        table = part.product(lambda: normed.behind(matrix.weight), matrix)
        values = table[np.ix_(at, units)] * normed.factor[row]
        most = high - values.max(axis=0) + values
        smallest = low - values.min(axis=0) + values
        states = np.where(
            most <= activation.nearly_off, 0, np.where(smallest >= activation.straight, 2, 1)
        )
        left = (states == 1).sum(axis=1).mean()
        if left < least:
            best, least = (atom, states), left
    if best is None:
        return None
    atom, states = best
    pieces = apart(model.sets[int(chosen[atom])], states)
    again = np.repeat(chosen[None], len(pieces), axis=0)
    again[:, atom] = [model.sets.number(piece) for piece in pieces]
    return again


def apart(tokens: Ids, states: Ids) -> Sequence[Ids]:
    """Tokens, those with equal states together.

    Args:
        tokens: [token].
        states: whole numbers: [token, state].
    """
    columns = states.T
    places = combinations(*columns)[1] if len(columns) <= COLUMNS else distinct(states)[1]
    order = np.argsort(places, kind="stable")
    return np.split(tokens[order], np.flatnonzero(np.diff(places[order])) + 1)
