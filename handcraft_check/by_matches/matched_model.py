"""The layers after heads that match, for one choice of what each head reads."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import CERTAIN, LARGEST, TINY, Bounded, product_error
from handcraft_check.arithmetic.stream import PRODUCT_SLACK, Stream
from handcraft_check.by_matches.readings import Choice, Fused, Reading, choices, joint
from handcraft_check.by_matches.settled import Settled
from handcraft_check.by_windows.cases import Cases
from handcraft_check.by_windows.divided import Divided
from handcraft_check.by_windows.few_units import few_units
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import Sums
from handcraft_check.by_windows.window_model import WindowModel
from handcraft_check.by_windows.windows import TokenSets, UnfitError
from handcraft_check.layers.matrix import Ids
from handcraft_check.layers.model import Model

CASES = 1 << 16
"""The most cases to begin with."""


@dataclass(frozen=True)
class Read:
    """The value of an aggregate: a token of the source that heads read, or a constant.

    Args:
        reading: the number of the reading; -1 for a constant.
        atom: which token of the source.
        value: the constant.
    """

    reading: int = -1
    atom: int = -1
    value: Any = None


class Written:
    """The vectors that each head writes to the stream, for each kind of source.

    Args:
        model: the model.
        layer: the block of the heads.
        sources: the kinds.
        length: the most positions of a text.
    """

    def __init__(self, model: Model, layer: int, sources: Sequence[Settled], length: int) -> None:
        block = model.blocks[layer]
        heads, size = block.heads, block.heads.moved
        self.out = heads.out
        self.tables: dict[tuple[int, Settled], tuple[list[Array], Array]] = {}
        low, high = np.full((2, heads.count * size), np.inf)
        high = -high
        error = np.zeros(heads.count * size)
        for source in sources:
            normed, matrix = model.normed_sums(source.sums({}), block.ln_1), heads.moving
            weight, factor = normed.behind(matrix.weight), float(normed.factor[0])
            places = factor * (source.places[source.positions] @ weight)
            half = (places.max(axis=0) - places.min(axis=0)) / 2
            middle = (places.max(axis=0) + places.min(axis=0)) / 2
            each = [factor * (table @ weight) for table in source.tables]
            lows, highs = (
                middle + sum(end(table, axis=0) for table in each) for end in (np.min, np.max)
            )
            upper = np.maximum(np.abs(lows), np.abs(highs)) + half
            own = normed.rest[0] @ np.abs(matrix.weight) + matrix.product_error(normed.magnitude)[0]
            own += normed.drift[0] * np.abs(normed.gain @ matrix.weight) + normed.scale[0] * upper
            rising = factor * (1 + normed.scale[0])
            own += rising * (source.error @ np.abs(weight))
            own += PRODUCT_SLACK * rising * (normed.sums.size[0] @ np.abs(weight))
            fixed = normed.bias @ matrix.weight + matrix.bias
            low, high = np.minimum(low, fixed + lows - half), np.maximum(high, fixed + highs + half)
            error, fixed = np.maximum(error, own + half), fixed + middle
            for head in range(heads.count):
                columns = slice(head * size, (head + 1) * size)
                rows = self.out.weight[columns]
                parts = [table[:, columns] @ rows for table in each]
                self.tables[head, source] = parts, fixed[columns] @ rows
        self.most = np.maximum(np.abs(low), np.abs(high)) + error
        if not (self.most < LARGEST / 16).all():
            raise UnfitError("values may be infinite")
        leaked = CERTAIN * (high - low + 2 * error) + 3.2 * CERTAIN * (1 + CERTAIN) * self.most
        self.error = error + leaked + TINY * (2 * length + 4)

    @property
    def written_error(self) -> Array:
        """How far the sum of what all heads write may be off: [dimension]."""
        size = np.abs(self.out.weight)
        total = (self.most + self.error) @ size + self.out.bias_magnitude
        return np.asarray(self.error @ size + product_error(total, self.out.terms))


class MatchedModel(WindowModel):
    """The model from the heads that match on, for one kind of position and one way to read.

    The atoms are those of the position, followed, for each reading, by those of its source, without
    those that follow from an atom of the position.

    Args:
        model: the model.
        layer: the block of the heads that match.
        sets: the sets of tokens.
        here: the positions.
        readings: what each head reads.
        values: the vectors that heads write.
        read: the values of the aggregates that match.
    """

    def __init__(
        self,
        model: Model,
        layer: int,
        sets: TokenSets,
        here: Settled,
        readings: Sequence[Reading],
        values: Written,
        read: Mapping[int, Read],
    ) -> None:
        self.model, self.layer, self.sets = model, layer, sets
        self.here, self.readings = here, readings
        self.groups: list[Ids] = []
        self.tables = [table.copy() for table in here.tables]
        self.places = here.places
        self.choices = [choices(reading.branch, sets) for reading in readings]
        self.fused: list[tuple[int, Fused]] = []
        self.places_of: list[tuple[int, int]] = []  # of atoms behind those of the position
        known = values.out.bias.copy()
        for number, (reading, some) in enumerate(zip(readings, self.choices, strict=True)):
            known += sum(values.tables[head, reading.source][1] for head in reading.heads)
            decided = {each.fused.there: each.fused for each in some if each.fused is not None}
            for atom in range(len(reading.source.tables)):
                written = sum(
                    (values.tables[head, reading.source][0][atom] for head in reading.heads),
                    np.zeros_like(self.tables[0]),
                )
                if atom in decided:
                    fused = decided[atom]
                    self.tables[fused.here] += np.where(
                        fused.token[:, None] >= 0, written[fused.token], 0.0
                    )
                    self.fused.append((number, fused))
                else:
                    self.tables.append(written)
                    self.places_of.append((number, atom))
        self.known, self.error_here = known, here.error + values.written_error
        self._read: list[dict[Hashable, Any]] = [{} for _ in range(len(self.tables) + 1)]
        atoms = {
            number: -1 if each.reading < 0 else self.atom_of(each.reading, each.atom)
            for number, each in read.items()
        }
        fixed = {number: each.value for number, each in read.items() if each.reading < 0}
        own = here.window
        self.window = replace(own, reads={**own.reads, **atoms}, values={**own.values, **fixed})

    def atom_of(self, reading: int, atom: int) -> int:
        """The number here of an atom of a source."""
        for number, fused in self.fused:
            if (number, fused.there) == (reading, atom):
                if (fused.token[fused.token >= 0] != np.flatnonzero(fused.token >= 0)).any():
                    raise UnfitError("it reads a function of the token that is matched")
                return fused.here
        return len(self.here.tables) + self.places_of.index((reading, atom))

    def add(self, groups: Sequence[Ids]) -> Ids:
        """Add groups of positions; returns their numbers: [group]."""
        self.groups += groups
        return np.arange(len(self.groups) - len(groups), len(self.groups))

    def first(self) -> Cases:
        """All positions, and all tokens that may be read in this way."""
        reach = np.ones(len(self.here.positions), dtype=bool)
        for reading in self.readings:
            reach &= reading.branch.positions.any(axis=1)
        if not reach.any():
            return Cases(np.empty(0, dtype=np.int64), np.empty((0, len(self.tables)), dtype=np.int64))
        self.add([self.here.positions[reach]])
        everything = self.sets.number(np.arange(self.sets.vocabulary))
        chosen = []
        columns = [
            self._columns(number, choice) for number, some in enumerate(self.choices) for choice in some
        ]
        for row in joint(self.choices, CASES):
            sets: list[int] | None = [everything] * len(self.tables)
            for at, numbers in zip(columns, row, strict=True):
                for atom, number in zip(at, numbers, strict=True):
                    sets = None if sets is None else self._within(sets, atom, number)
            if sets is not None:
                chosen.append(sets)
        found = np.array(chosen, dtype=np.int64).reshape(-1, len(self.tables))
        return Cases(np.zeros(len(found), dtype=np.int64), found)

    def _columns(self, reading: int, choice: Choice) -> list[int]:
        """The atoms that a choice restricts to sets."""
        here, there = choice.atoms
        found = [] if here is None else [here]
        if there is not None and choice.fused is None:
            found.append(len(self.here.tables) + self.places_of.index((reading, there)))
        return found

    def _within(self, sets: list[int], atom: int, number: int) -> list[int] | None:
        """The sets with that of one atom intersected with another; None if it becomes empty."""
        left = np.intersect1d(self.sets[sets[atom]], self.sets[number])
        if not len(left):
            return None
        return [*sets[:atom], self.sets.number(left), *sets[atom + 1 :]]

    def run(self, cases: Cases, most: int) -> tuple[Cases, Sums]:
        """The last stream of some cases, of which each may become several."""
        layers = range(self.layer, len(self.model.blocks))
        return self.passed(cases, self.behind_heads(cases), layers, most)

    def behind_heads(self, cases: Cases) -> Sums:
        """The stream of some cases behind the heads that match."""
        known, error = (np.tile(each, (len(cases), 1)) for each in (self.known, self.error_here))
        x = self.sums(cases, Stream.of(Bounded(known, error)))
        return self._added(x, self.model.blocks[self.layer].heads.out.terms > 0)

    def _behind_units(self, layer: int, x: Divided) -> Stream:
        block, activation = self.model.blocks[layer], self.model.activation
        return few_units(x.normed, x.open, block.c_fc, block.mlp_out, activation, cancels=True)

    def alternatives(self, atom: int, group: int, chosen: int) -> Ids:
        """The rows of an atom's table that a case allows."""
        return self.sets[chosen]

    def tokens_at(self, position: int, chosen: Ids) -> Iterator[tuple[int, int]]:
        """Positions and tokens of one text of a case; each source is the last one that is possible."""
        row = int(np.searchsorted(self.here.positions, position))
        own = self.here.window.sources[np.searchsorted(self.here.window.positions, position)]
        tokens = [int(self.sets[number][0]) for number in chosen.tolist()]
        taken = set(own.tolist())
        for number, reading in enumerate(self.readings):
            columns = np.flatnonzero(reading.branch.positions[row])
            places = reading.source.positions[columns[::-1]]
            windows = reading.source.window
            sources = windows.sources[np.searchsorted(windows.positions, places)]
            free = [each for each in sources.tolist() if not taken & set(each)] or sources.tolist()
            taken |= set(free[0])
            for atom, (read, there) in enumerate(self.places_of, len(own)):
                if read == number:
                    yield free[0][there], tokens[atom]
            for read, fused in self.fused:
                if read == number:
                    yield free[0][fused.there], int(fused.token[tokens[fused.here]])
        yield from zip(own.tolist(), tokens, strict=False)

    def _places(self, cases: Cases) -> list[Part]:
        return [Part(self.places, self.groups, len(self.places) + cases.groups, self._read[-1])]

    def _part(self, atom: int, cases: Cases) -> Part:
        table, vocabulary = self.tables[atom], self.sets.vocabulary
        used, places = np.unique(cases.chosen[:, atom], return_inverse=True)
        is_several = used >= vocabulary
        numbers = np.where(is_several, len(table) + np.cumsum(is_several) - 1, used)
        sets = [self.sets[number] for number in used[is_several].tolist()]
        return Part(table, sets, numbers[places], self._read[atom], vocabulary)
