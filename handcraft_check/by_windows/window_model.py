"""A model at all positions of one kind, for sets of tokens in their windows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import LARGEST, TINY, UNIT, Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows.copies import Copied, values_copied
from handcraft_check.by_windows.sums import NormedSums, Part, Sums
from handcraft_check.by_windows.windows import OWN, TokenSets, Window
from handcraft_check.layers.layer_norm import Flags, Ids
from handcraft_check.layers.model import Model

SIMILAR = 2.0**-12
"""Positions whose embeddings differ more in their norm, relatively, are not looked at together."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Cases of one kind of position.

    Args:
        groups: which group of positions: [case].
        chosen: which set of tokens each atom may be: [case, atom].
    """

    groups: Ids
    chosen: Ids

    def __len__(self) -> int:
        return len(self.groups)

    def rows(self, which: Ids | Flags) -> Cases:
        """Some of them."""
        return Cases(self.groups[which], self.chosen[which])


def joined(parts: Sequence[Cases]) -> Cases:
    """All cases, one part behind the other."""
    return Cases(
        np.concatenate([part.groups for part in parts]), np.concatenate([part.chosen for part in parts])
    )


@dataclass(frozen=True, eq=False)
class Ran:
    """What the model makes of some cases.

    Args:
        logits: [case, vocab_size].
        before: of each block, the normalized stream that its MLP reads.
        last: the normalized stream that is unembedded.
    """

    logits: Bounded
    before: Sequence[NormedSums]
    last: NormedSums


class WindowModel:
    """What a model computes at positions of one kind.

    Args:
        model: its heads copy one source each, in the first block.
        found: which sources these are.
        window: the kind of position.
        sets: the sets of tokens.
    """

    def __init__(self, model: Model, found: Copied, window: Window, sets: TokenSets) -> None:
        self.model, self.found, self.window, self.sets = model, found, window, sets
        self.groups: list[Ids] = []
        width, atoms = model.config.n_embd, window.sources.shape[1]
        self.tables = [np.empty((0, width)) for _ in range(atoms)]
        self.error = np.empty((0, width))
        self._read: list[dict[Hashable, Array]] = []

    def add(self, groups: Sequence[Ids]) -> Ids:
        """Look at groups of positions together: [group], their numbers."""
        written, error = values_copied(self.model, self.found, groups)
        for atom, table in enumerate(self.tables):
            heads = [head for head, read in enumerate(self.window.heads) if read == atom]
            own = written[:, heads].sum(axis=1) + (self.found.tokens if atom == OWN else 0.0)
            self.tables[atom] = np.concatenate([table, own.reshape(-1, own.shape[-1])])
        self.error = np.concatenate([self.error, error])
        self.groups += groups
        self._read = [{} for _ in range(len(self.tables) + 1)]
        return np.arange(len(self.groups) - len(groups), len(self.groups))

    def run(self, cases: Cases) -> Ran:
        """The logits of some cases."""
        model = self.model
        x = self._behind_heads(cases)
        before = []
        for layer, block in enumerate(model.blocks):
            if layer:  # it has no heads, but what they add may have a bias
                bias = block.heads.out.bias
                is_finite = self._is_finite(layer, x)[:, None]
                moved = replace(x.stream, center=np.where(is_finite, x.known + bias, np.nan))
                x = self._added(Sums(x.parts, moved), bias != 0)
            normed = model.normed_sums(x, block.ln_2)
            before.append(normed)
            behind = Sums(x.parts, model.behind_units(layer, normed))
            x = self._added(behind, block.mlp_out.terms > 0)
        last = model.normed_sums(x, model.ln_f)
        return Ran(self._logits(last), before, last)

    def _logits(self, x: NormedSums) -> Bounded:
        """What is read of the last stream: [case, vocab_size]."""
        return x.read(self.model.unembedding)[0]

    def together(self, *, is_outright: bool) -> list[Ids]:
        """Groups of positions to begin with.

        Args:
            is_outright: whether each case will have known tokens.
        """
        positions = self.window.positions
        if is_outright:
            return [np.array([position]) for position in positions.tolist()]
        return _similar(self.found.places, positions)

    def _is_finite(self, layer: int, x: Sums) -> Flags:
        """Where LayerNorm in front of heads that are 0 surely is finite: [row]."""
        gain, bias = (np.abs(each.center).max() for each in self.model.blocks[layer].ln_1)
        fits = 2 * (np.sqrt(self.model.config.n_embd) * gain + bias) < LARGEST / 2
        return np.asarray((x.size.max(axis=1) < 2.0**40) & fits)

    def product(self, atom: int, weight: Array, key: Hashable) -> Array:
        """Weighted sums of what an atom adds to the stream: [group * token, out]."""
        none = np.empty(0, dtype=np.int64)
        return Part(self.tables[atom], [], none, self._read[atom]).product(weight, key)

    def alternatives(self, atom: int, group: int, chosen: int) -> Ids:
        """The rows of an atom's table that a case allows."""
        return group * self.sets.vocabulary + self.sets[chosen]

    def _behind_heads(self, cases: Cases) -> Sums:
        model, bias = self.model, self.model.blocks[0].heads.out.bias
        parts = [
            Part(self.found.places, self.groups, len(self.found.places) + cases.groups, self._read[-1]),
            *(self._part(atom, cases) for atom in range(len(self.tables))),
        ]
        error = self.found.embedded + self.error[cases.groups]
        x = Sums(parts, Stream.of(Bounded(np.tile(bias, (len(cases), 1)), error)))
        return self._added(x, model.blocks[0].heads.out.terms > 0)

    def _part(self, atom: int, cases: Cases) -> Part:
        """What an atom adds to the stream: a row of its table for each group and token."""
        table, vocabulary = self.tables[atom], self.sets.vocabulary
        chosen = cases.chosen[:, atom]
        numbers = cases.groups * vocabulary + chosen
        several = np.flatnonzero(chosen >= vocabulary)
        keys = np.stack([cases.groups[several], chosen[several]], axis=1)
        used, places = np.unique(keys, axis=0, return_inverse=True)
        sets = [self.alternatives(atom, group, number) for group, number in used.tolist()]
        numbers[several] = len(table) + places.reshape(-1)
        return Part(table, sets, numbers, self._read[atom])

    def _added(self, x: Sums, where: Flags) -> Sums:
        """The sum as the computed one: rounded where something was added."""
        rounding = np.where(where, UNIT * x.size + TINY, 0.0)
        stream = replace(x.stream, error=x.error + rounding, box=x.stream.box + rounding)
        return Sums(x.parts, stream.tight())


def _similar(places: Array, positions: Ids) -> list[Ids]:
    """Groups of neighbouring positions whose embeddings have nearly the same norm."""
    size = np.square(places[positions]).sum(axis=1)
    found, first = [], 0
    for i in range(1, len(positions) + 1):
        if i == len(positions) or not (
            size[first : i + 1].max() <= size[first : i + 1].min() * (1 + SIMILAR)
        ):
            found.append(positions[first:i])
            first = i
    return found
