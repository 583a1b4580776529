"""Heads of a later block that attend by content: one model for each way to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from handcraft_check.by_matches.conditions import Branch, branches, conditions, default_of
from handcraft_check.by_matches.matched_model import MatchedModel, Read, Written
from handcraft_check.by_matches.readings import Reading
from handcraft_check.by_matches.scores import Scores, Sources
from handcraft_check.by_matches.settled import Settled, settled
from handcraft_check.by_matches.vectors import Vectors
from handcraft_check.by_matches.winners import ALIKE, check_winners
from handcraft_check.by_windows.window_model import WindowModel
from handcraft_check.by_windows.windows import OWN, UnfitError, WindowMeaning
from handcraft_check.layers.matrix import Flags
from handcraft_check.layers.model import Model
from handcraft_check.program.nodes import Node

WAYS = 1 << 10
"""If heads may read in more ways than this at positions of one kind, no proof is tried."""

TOO_MANY = "heads of a later block read in too many ways"


def matched_models(
    program: WindowMeaning, kinds: Sequence[WindowModel], layer: int, most: int
) -> Iterator[MatchedModel]:
    """The models after the heads that match, for each kind of position and each way in which they read.

    Args:
        program: what is meant.
        kinds: the models in front of these heads.
        layer: their block.
        most: how many cases may be made of all positions and tokens in front of it.

    Raises:
        BudgetError: there would be more cases.
        UnfitError: it is not shown that each head reads what an aggregate of the program means.
    """
    model, sets = kinds[0].model, kinds[0].sets
    known = [each for kind in kinds for each in settled(kind, range(layer), most)]
    written = Written(model, layer, known, program.length)
    matches = _Matches(program, model, layer, known)
    for here in known:
        chosen = [matches.read_by(here, head) for head in range(model.blocks[layer].heads.count)]
        for ways in matches.ways(here, chosen):
            readings = [reading for _, way in ways for reading in way]
            read = matches.read(ways)
            yield MatchedModel(model, layer, sets, here, readings, written, read)


@dataclass(frozen=True)
class _Match:
    """Aggregates that read one position.

    Args:
        nodes: their numbers.
        how: ``latest``, ``earliest``, or ``exists`` if it does not matter which source that matches is
            read.
    """

    nodes: tuple[int, ...]
    how: str


_Way = tuple[_Match, tuple[Reading, ...]]
"""What heads read for some aggregates."""


class _Matches:
    """The heads of a block, and the aggregates whose sources tokens decide.

    Args:
        program: what is meant.
        model: the model.
        layer: the block.
        known: all positions in front of it.
    """

    def __init__(
        self, program: WindowMeaning, model: Model, layer: int, known: Sequence[Settled]
    ) -> None:
        self.program, self.model, self.layer, self.known = program, model, layer, known
        self.nodes = program.evaluator.nodes
        found: dict[tuple[Any, str], list[int]] = {}
        for number in program.matched:
            node = self.nodes[number]
            if node.how not in ("latest", "earliest", "exists"):
                raise UnfitError("it reads more than one token at a time")
            if node.how != "exists" and node.default is None:
                raise UnfitError("not every text is allowed")
            found.setdefault((node.cases, node.how), []).append(number)
        for cases, how in [key for key in found if key[1] == "exists"]:
            for other in ("latest", "earliest"):
                if how == "exists" and (cases, other) in found:
                    found[cases, other] += found.pop((cases, "exists"))
                    break
        self.matches = [_Match(tuple(numbers), how) for (_, how), numbers in found.items()]
        self._vectors: dict[tuple[int, int, int], Vectors] = {}

    def read_by(self, here: Settled, head: int) -> _Match:
        """The aggregates whose source a head reads.

        Raises:
            UnfitError: it is shown for none.
        """
        why = UnfitError("heads of a later block read")
        for match in self.matches:
            try:
                self._check(here, head, match)
            except UnfitError as error:
                why = error
            else:
                return match
        raise why

    def _check(self, here: Settled, head: int, match: _Match) -> None:
        heads, factor = self.model.blocks[self.layer].heads, self.model.score_scale(self.layer)
        queries, node = self.vectors(head, here, 0), self.nodes[match.nodes[0]]
        keys = {each: self.vectors(head, each, 1) for each in self._seen_by(here)}
        largest = np.max([vectors.most for vectors in keys.values()], axis=0)
        atoms = queries.differing(largest * factor, ALIKE)
        sources = []
        for source, vectors in keys.items():
            cases = conditions(self.program, node, here, source)
            every = [each.atoms for case in cases for each in case]
            atoms |= {atom for atom, _ in every if atom is not None}
            read = {atom for _, atom in every if atom is not None}
            kinds = vectors.kinds(read | vectors.differing(queries.most * factor, ALIKE))
            codes = [kinds.codes(each.atoms[1], each.there) for case in cases for each in case]
            sources.append(
                Sources(vectors, kinds.merged(codes), cases, _visible(here, source), source.positions)
            )
        scores = Scores(queries, queries.kinds(atoms), sources, factor, float(heads.terms[head]))
        check_winners(scores, match.how, self.program.length)

    def vectors(self, head: int, positions: Settled, which: int) -> Vectors:
        """Queries (0) or keys (1) of a head."""
        key = (head, self.known.index(positions), which)
        if key not in self._vectors:
            heads = self.model.blocks[self.layer].heads
            columns = (which * heads.count + head) * heads.matched + np.arange(heads.matched)
            self._vectors[key] = Vectors(self.model, self.layer, positions, columns)
        return self._vectors[key]

    def _seen_by(self, here: Settled) -> list[Settled]:
        return [each for each in self.known if each.positions[0] <= here.positions[-1]]

    def ways(self, here: Settled, chosen: Sequence[_Match]) -> Iterator[tuple[_Way, ...]]:
        """All ways in which heads may read at positions of a kind.

        Heads of the same aggregates read the same source, if one matches.

        Args:
            here: the positions.
            chosen: for each head, the aggregates whose source it reads.
        """
        if {*self.matches} - {*chosen}:
            raise UnfitError("no head reads what an aggregate matches")
        listed: list[list[_Way]] = []
        for match in self.matches:
            heads = tuple(head for head, read in enumerate(chosen) if read is match)
            found = [
                (source, branch)
                for source in self._seen_by(here)
                for branch in self._branches(match, here, source)
            ]
            alone = [(source, branch) for source, branch in found if not branch.is_match]
            if len(heads) * np.log(max(1, len(alone))) > np.log(WAYS):
                raise UnfitError(TOO_MANY)
            listed.append(
                [
                    *((match, (Reading(heads, *each),)) for each in found if each[1].is_match),
                    *(
                        (match, tuple(Reading((h,), *e) for h, e in zip(heads, every, strict=True)))
                        for every in product(alone, repeat=len(heads))
                    ),
                ]
            )
        if np.prod([float(len(each)) for each in listed]) > WAYS:
            raise UnfitError(TOO_MANY)
        yield from product(*listed)

    def _branches(self, match: _Match, here: Settled, source: Settled) -> Iterator[Branch]:
        node = self.nodes[match.nodes[0]]
        cases = conditions(self.program, node, here, source)
        return branches(cases, _visible(here, source))

    def read(self, ways: Sequence[_Way]) -> dict[int, Read]:
        """What each aggregate reads."""
        found, number = {}, 0
        for match, readings in ways:
            is_match = readings[0].branch.is_match
            for node in match.nodes:
                found[node] = self._read(self.nodes[node], readings[0], number, is_match=is_match)
            number += len(readings)
        return found

    def _read(self, node: Node, reading: Reading, number: int, *, is_match: bool) -> Read:
        if node.how == "exists":
            return Read(value=is_match)
        if not is_match:
            return Read(value=node.default)
        assert node.read is not None
        program, there = self.program, reading.source
        if node.read in program.at_positions:
            values = program.at_positions[node.read]
            if len({values[position] for position in there.positions.tolist()}) > 1:
                raise UnfitError("it reads a position")
            return Read(value=values[there.positions[0]])
        base = program.base(node.read)
        if base is None or base in program.matched:
            raise UnfitError("it reads what several tokens decide")
        atom = there.window.reads.get(base, OWN)
        if atom < 0:
            return Read(value=default_of(program, node.read, base))
        return Read(number, atom)


def _visible(here: Settled, source: Settled) -> Flags:
    """Which positions see which: [destination, source]."""
    return np.asarray(here.positions[:, None] >= source.positions)
