"""The values that the residual stream stores before each block, under their names, on one prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from handcraft.circuits import Circuits, Encoding, Head, LinearMap, Subspace
from handcraft.circuits.ideal import embed, run_block
from handcraft.circuits.ideal_heads import Numbers
from handcraft.circuits.prefixes import Prefixes
from handcraft.circuits.resolve import resolve
from handcraft.language.graph.domain import Value, show_value

PART = re.compile(r" \(\d+\)$")
"""Ends the name of a subspace that stores a further number of the same value."""


class Stored:
    """What is stored at each position, as the ideal interpreter computes it with exact numbers.

    Args:
        circuits: those of the model.
        tokens: the prompt, at most as long as the context of the circuits.
        known: the values of the program at each position, by name; with these, a number that is no
            codeword is left out, since it may be stored inverted, scaled or shifted.
    """

    def __init__(
        self, circuits: Circuits, tokens: Sequence[str], known: Mapping[str, Sequence[Value]]
    ) -> None:
        resolved = resolve(circuits)
        self._of = {table.subspace: table.of for table in reversed(resolved.embedding)}
        places = {token: i for i, token in enumerate(circuits.vocabulary.tokens)}
        ids = np.array([[places[token] for token in tokens]], dtype=np.int64)
        self._lead = 0
        if circuits.begin is not None:
            self._lead, begin = 1, len(places)
            ids = np.pad(ids, ((0, 0), (1, 0)), constant_values=begin)
            tokens = (*tokens, circuits.begin)  # its position is -1
        self._tokens, self._known = tokens, known
        width = max((subspace.width for subspace in resolved.stream), default=1)
        self._prefixes = Prefixes.of_texts(ids, causal=resolved.causal, width=width)
        stream = embed(resolved, self._prefixes)
        self.heads: list[tuple[Head, ...]] = []
        self._streams: list[Numbers] = []
        self._every: list[Numbers] = [stream]
        for block, original in zip(resolved.blocks, circuits.blocks, strict=True):
            self.heads.append(original.heads)
            self._streams.append(stream)
            stream = run_block(block, stream, self._prefixes)
            self._every.append(stream)
        self._unembedding = resolved.unembedding

    def computed(self) -> dict[str, tuple[Value, ...]]:
        """What heads and neurons compute, by the names of the subspaces, at every position.

        The values are those after the first block that writes them; a dimension may be used again.
        """
        found: dict[str, tuple[Value, ...]] = {}
        for before, after in pairwise(self._every):
            for subspace in after:
                if subspace.name in found or subspace in self._of or subspace == self._unembedding:
                    continue
                rows = [self._numbers(stream, subspace)[self._lead :] for stream in (before, after)]
                if rows[0] != rows[1]:
                    found[subspace.name] = tuple(_decoded(subspace, row) for row in rows[1])
        return found

    def _numbers(self, stream: Numbers, subspace: Subspace) -> list[list[object]]:
        """What a subspace stores: [position, width]; the begin token, if there is one, is first."""
        found: list[list[object]] = stream[subspace].plain[self._prefixes.of[0]].tolist()
        return found

    def read(self, number: int, maps: Iterable[LinearMap], position: int) -> dict[str, Value]:
        """The values that some maps read at a position.

        Args:
            number: the block of the circuits.
            maps: what is read.
            position: where; -1 for the begin token.
        """
        return dict(self._values(number, maps, position))

    def _values(
        self, number: int, maps: Iterable[LinearMap], position: int
    ) -> Iterator[tuple[str, Value]]:
        for subspace in dict.fromkeys(each.source for each in maps):
            name = PART.sub("", subspace.name)
            if name in self._known and position >= 0:
                yield name, self._known[name][position]
            elif (of := self._of.get(subspace)) is not None:
                yield of, self._tokens[position] if of == "token" else position
            else:
                numbers = self._numbers(self._streams[number], subspace)
                row = numbers[position + self._lead]
                if not self._known or _codeword(subspace, row) is not None:
                    yield subspace.name, _decoded(subspace, row)


def _decoded(subspace: Subspace, numbers: Sequence[object]) -> Value:
    """The value whose codeword some numbers are, else the numbers."""
    if (value := _codeword(subspace, numbers)) is not None:
        return value
    shown = _plain(numbers)
    return shown[0] if len(shown) == 1 else ", ".join(map(show_value, shown))


def _codeword(subspace: Subspace, numbers: Sequence[object]) -> Value | None:
    """The value whose codeword some numbers are, if there is one."""
    plain = _plain(numbers)
    if subspace.encoding is Encoding.FLAG and plain in ((0,), (1,)):
        return plain == (1,)
    for value in subspace.values:
        if subspace.codeword(value) == plain:
            return value
    return None


def _plain(numbers: Sequence[object]) -> tuple[int | Fraction, ...]:
    return tuple(n if isinstance(n, int) else Fraction(str(n)) for n in numbers)
