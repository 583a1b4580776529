"""A model at all positions of one kind, for sets of tokens in their windows.

Sets are divided in front of each block, where its hidden units distinguish tokens. What was computed of
a set up to there holds for its parts. So each unit is on or off in most cases, and off in nearly all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import LARGEST, TINY, UNIT, Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows.cases import Cases, in_steps, joined
from handcraft_check.by_windows.copies import CELLS, Copied, values_copied
from handcraft_check.by_windows.divided import Divided, divided
from handcraft_check.by_windows.few_units import few_units
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.spans import joined as streams_joined
from handcraft_check.by_windows.sums import NormedSums, Sums
from handcraft_check.by_windows.windows import OWN, TokenSets, Window
from handcraft_check.layers.matrix import Flags, Ids, Matrix
from handcraft_check.layers.model import Model
from handcraft_check.layers.zeros import reads

OUTRIGHT = 1 << 13
"""Up to so many cases are not worth dividing step by step: each has one position and known tokens."""

WORDS = 1 << 8
"""Larger vocabularies are always divided step by step."""

SIMILAR = 2.0**-12
"""Positions whose embeddings differ more in their norm, relatively, are not looked at together."""


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
        width, atoms = model.wte.center.shape[1], window.sources.shape[1]
        self.tables = [np.empty((0, width)) for _ in range(atoms)]
        self.error = np.empty((0, width))
        self._read: list[dict[Hashable, Any]] = []

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

    def run(self, cases: Cases, most: int) -> tuple[Cases, Sums]:
        """The last stream of some cases, of which each may become several.

        Args:
            cases: what positions and tokens there are.
            most: how many cases may be made of them.

        Raises:
            BudgetError: it would be more.
        """
        return self.passed(cases, self.behind_heads(cases), range(len(self.model.blocks)), most)

    def passed(self, cases: Cases, x: Sums, layers: range, most: int) -> tuple[Cases, Sums]:
        """The stream of some cases behind several blocks, of which each may become several.

        Args:
            cases: what positions and tokens there are.
            x: their stream behind the heads of the first of these blocks.
            layers: the blocks; those behind the first one have no heads.
            most: how many cases may be made of them.

        Raises:
            BudgetError: it would be more.
        """
        for layer in layers:
            block = self.model.blocks[layer]
            if layer > layers[0]:  # it has no heads, but what they add may have a bias
                x = self._biased(x, block.ln_1, block.heads.out.bias)
            if not any(reads(each).any() for each in (block.opening, block.c_fc)):  # nor units
                x = self._biased(x, block.ln_2, block.mlp_out.bias)
                continue
            step, found, count = self.step(block.opening), [], 0
            for rows in in_steps(len(cases), step):
                given = self, layer, cases.rows(rows), x.rows(rows).stream
                for some in divided(*given, step, most - count):
                    found.append((some.cases, self._behind_units(layer, some)))
                    count += len(some.cases)
            cases = joined([some for some, _ in found])
            x = self.sums(cases, streams_joined([stream for _, stream in found]))
            x = self._added(x, block.mlp_out.terms > 0)
        return cases, x

    def step(self, matrix: Matrix) -> int:
        """How many rows are looked at together where a matrix is read."""
        return max(1, CELLS // int(max(matrix.weight.shape)))

    def _behind_units(self, layer: int, x: Divided) -> Stream:
        """The stream behind hidden units, before the addition is rounded."""
        block = self.model.blocks[layer]
        return few_units(x.normed, x.open, block.c_fc, block.mlp_out, self.model.activation)

    def logits(self, x: NormedSums) -> Bounded:
        """What is read of the last stream: [case, vocab_size]."""
        return x.read(self.model.unembedding)[0]

    def first(self) -> Cases:
        """All positions and tokens, in few cases, or in many where those are few enough."""
        vocabulary, each = self.sets.vocabulary, self.together(is_outright=True)
        atoms = len(self.tables)
        if vocabulary <= WORDS and len(each) * vocabulary**atoms <= OUTRIGHT:
            groups = self.add(each)
            every = np.stack(np.meshgrid(*[np.arange(vocabulary)] * atoms), axis=-1)
            every = every.reshape(-1, atoms)
            return Cases(np.repeat(groups, len(every)), np.tile(every, (len(groups), 1)))
        return self.everything()

    def everything(self, groups: Sequence[Ids] | None = None) -> Cases:
        """All positions and tokens, in few cases.

        Args:
            groups: of positions; those of `together` without it.
        """
        added = self.add(self.together(is_outright=False) if groups is None else groups)
        tokens = self.sets.number(np.arange(self.sets.vocabulary))
        return Cases(added, np.full((len(added), len(self.tables)), tokens))

    def tokens_at(self, position: int, chosen: Ids) -> Iterable[tuple[int, int]]:
        """Positions and tokens of one text of a case."""
        sources = self.window.sources[np.searchsorted(self.window.positions, position)].tolist()
        return zip(sources, (int(self.sets[number][0]) for number in chosen.tolist()), strict=True)

    def together(self, *, is_outright: bool) -> list[Ids]:
        """Groups of positions to begin with.

        Args:
            is_outright: whether each case will have known tokens.
        """
        positions = self.window.positions
        if is_outright:
            return [np.array([position]) for position in positions.tolist()]
        return _similar(self.found.places, positions)

    def _biased(self, x: Sums, norm: tuple[Bounded, Bounded], bias: Array) -> Sums:
        """The stream behind what reads nothing, and adds a bias; LayerNorm in front must be finite."""
        gain, shift = (np.abs(each.center).max() for each in norm)
        is_finite = x.size.max(axis=1) < 2.0**40
        is_finite &= 2 * (np.sqrt(self.model.config.n_embd) * gain + shift) < LARGEST / 2
        center = np.where(is_finite[:, None], x.known + bias, np.nan)
        return self._added(Sums(x.parts, replace(x.stream, center=center)), bias != 0)

    def alternatives(self, atom: int, group: int, chosen: int) -> Ids:
        """The rows of an atom's table that a case allows."""
        return group * self.sets.vocabulary + self.sets[chosen]

    def behind_heads(self, cases: Cases) -> Sums:
        """The stream of some cases behind the heads that decide what they are."""
        model, bias = self.model, self.model.blocks[0].heads.out.bias
        error = self.found.embedded + self.error[cases.groups]
        x = self.sums(cases, Stream.of(Bounded(np.tile(bias, (len(cases), 1)), error)))
        return self._added(x, model.blocks[0].heads.out.terms > 0)

    def sums(self, cases: Cases, stream: Stream) -> Sums:
        """The stream of some cases, of which the rest is known."""
        parts = [self._part(atom, cases) for atom in range(len(self.tables))]
        return Sums([*self._places(cases), *parts], stream)

    def _places(self, cases: Cases) -> list[Part]:
        """What positions add to the stream."""
        count = len(self.found.places)
        return [Part(self.found.places, self.groups, count + cases.groups, self._read[-1])]

    def _part(self, atom: int, cases: Cases) -> Part:
        """What an atom adds to the stream: a row of its table for each group and token."""
        table, vocabulary = self.tables[atom], self.sets.vocabulary
        chosen = cases.chosen[:, atom]
        numbers = cases.groups * vocabulary + chosen
        several = np.flatnonzero(chosen >= vocabulary)
        keys = chosen[several] * len(self.groups) + cases.groups[several]
        used, places = np.unique(keys, return_inverse=True)
        sets = [
            self.alternatives(atom, key % len(self.groups), key // len(self.groups))
            for key in used.tolist()
        ]
        numbers[several] = len(table) + places
        return Part(table, sets, numbers, self._read[atom], vocabulary)

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
