"""The residual stream at positions of one kind, in front of the heads that match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import FLOAT64_SLACK, Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_matches.mean_of_errors import mean_of_errors
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import Sums
from handcraft_check.by_windows.window_model import WindowModel
from handcraft_check.by_windows.windows import OWN, UnfitError, Window
from handcraft_check.layers.matrix import Ids

APART = 16
"""If hidden units read the positions in at most this many ways, each way is a group of its own."""


@dataclass(frozen=True, eq=False)
class Settled:
    """Positions whose stream is a sum: of what the position adds, and each token of the window.

    Args:
        window: their kind.
        positions: [position].
        tables: what each token adds, for each atom: [token, dimension] each.
        places: what each position of any kind adds: [position, dimension].
        error: how far the computed stream may be from the sum: [dimension].
        mean: how far its mean may be.
    """

    window: Window
    positions: Ids
    tables: Sequence[Array]
    places: Array
    error: Array
    mean: float

    def sums(self, tokens: Mapping[int, Ids]) -> Sums:
        """The stream at all positions, for all tokens, or for the given ones.

        Args:
            tokens: for some atoms, the token in each row; one row if there are none: [row] each.
        """
        count = max([1, *map(len, tokens.values())])
        vocabulary, none = len(self.tables[0]), np.zeros((count, len(self.error)))
        every = np.full(count, vocabulary)
        parts = [
            Part(table, [np.arange(vocabulary)], tokens.get(atom, every))
            for atom, table in enumerate(self.tables)
        ]
        places = Part(self.places, [self.positions], np.full(count, len(self.places)))
        return Sums([places, *parts], Stream.of(Bounded(none, np.tile(self.error, (count, 1)))))


def _groups(model: WindowModel, layers: range) -> list[Ids]:
    """Groups of positions that hidden units read in the same way, if there are few such groups.

    Within a group, a hidden unit writes the same at all positions; any difference would count as an
    error.
    """
    found: list[Ids] = []
    for positions in model.together(is_outright=False):
        read = np.concatenate(
            [
                model.found.places[positions] @ (block.ln_2[0].center[:, None] * block.c_fc.weight)
                for block in (model.model.blocks[layer] for layer in layers)
            ],
            axis=1,
        )
        size = np.abs(read).max(axis=0, initial=0.0)
        kinds = np.rint(read / np.where(size == 0, 1.0, size) * 2.0**20)
        _, which = np.unique(kinds, axis=0, return_inverse=True)
        which = which.reshape(-1)
        is_few = which.max() < APART
        found += (
            [positions[which == kind] for kind in range(which.max() + 1)] if is_few else [positions]
        )
    return found


def settled(model: WindowModel, layers: range, most: int) -> list[Settled]:
    """Positions of one kind, behind several blocks, for all tokens.

    What hidden units write for a set of tokens is added to the vector of each token of the set.

    Args:
        model: of the kind.
        layers: the blocks; heads read in the first of them only.
        most: how many cases that may take.

    Raises:
        BudgetError: it would be more.
        UnfitError: hidden units distinguish tokens at several places of the window.
    """
    cases = model.everything(_groups(model, layers))
    everything = cases.chosen[0, 0] if len(cases) else 0
    before = model.behind_heads(cases)
    cases, x = model.passed(cases, before, layers, most)
    means = np.full(len(model.groups), np.inf)
    if len(layers) == 1:
        means = mean_of_errors(model, before, x.size.max(axis=0))
    found, vocabulary = [], model.sets.vocabulary
    for group, positions in enumerate(model.groups):
        rows = np.flatnonzero(cases.groups == group)
        chosen, known = cases.chosen[rows], x.known[rows]
        divided = np.flatnonzero((chosen != everything).any(axis=0))
        if len(divided) > 1:
            raise UnfitError("units in front of heads that match read several tokens at once")
        tables = [table[group * vocabulary : (group + 1) * vocabulary].copy() for table in model.tables]
        atom = int(divided[0]) if len(divided) else OWN
        for row, number in enumerate(chosen[:, atom].tolist()):
            tables[atom][model.sets[number]] += known[row]
        error = x.error[rows].max(axis=0)
        error += FLOAT64_SLACK * x.size[rows].max(axis=0) * (known != 0).any(axis=0)
        mean = float(min(means[group], error.sum()))
        found.append(Settled(model.window, positions, tables, model.found.places, error, mean))
    return found
