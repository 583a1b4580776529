"""The first of many patterns that a context ends in, for many contexts at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft.language.patterns.pattern import Pattern

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NONE = -1
"""The number of the pattern that matches, where none does."""


class FirstMatch:
    """The first of some patterns that each context ends in.

    Patterns with single tokens at the same distances from the end, and the same classes at the other
    distances, are one family: they are looked up together, however many they are.
    """

    def __init__(self, patterns: Sequence[Pattern], size: int) -> None:
        members: dict[_Shape, list[int]] = {}
        for number, pattern in enumerate(patterns):
            members.setdefault(_Shape.of(pattern, size), []).append(number)
        self._families = [
            _Family.of(shape, [patterns[i] for i in numbers], numbers, size)
            for shape, numbers in members.items()
        ]

    def at(self, texts: Ids, rows: Ids, places: Ids) -> Ids:
        """The number of the first pattern that each context ends in, `NONE` where none does.

        Args:
            texts: token ids, [text, position].
            rows: for each context, the text that it begins: [context].
            places: for each context, the position of its last token: [context].

        Returns:
            [context].
        """
        most = np.iinfo(np.int64).max
        winners = np.full(len(rows), most)
        for family in self._families:
            at, numbers = family.matches(texts, rows, places)
            winners[at] = np.minimum(winners[at], numbers)
        winners[winners == most] = NONE
        return winners


@dataclass(frozen=True)
class _Shape:
    """The common shape of the patterns of a family.

    Args:
        length: how many tokens they read.
        anchored: whether they begin at the first position.
        classes: distances from the end at which there is a class of tokens, with that class; distances
            at which there may be any token are left out.
        singles: distances at which there is one token, which differs from pattern to pattern.
    """

    length: int
    anchored: bool
    classes: tuple[tuple[int, frozenset[int]], ...]
    singles: tuple[int, ...]

    @classmethod
    def of(cls, pattern: Pattern, size: int) -> _Shape:
        """The shape of a pattern over a vocabulary of so many tokens."""
        backwards = [*enumerate(reversed(pattern.classes))]
        classes = tuple((back, each) for back, each in backwards if len(each) not in (1, size))
        singles = tuple(back for back, each in backwards if len(each) == 1 < size)
        return cls(len(pattern), pattern.anchored, classes, singles)


@dataclass(frozen=True, eq=False)
class _Family:
    """Patterns of one shape.

    Args:
        shape: their shape.
        classes: for each class of the shape, its distance and which tokens are in it: [token].
        keys: for each single token of the shape, the tokens from the end up to it that some pattern
            has, in order, each as `code * size + token` with the code of those before it.
        numbers: for each code after the last single token, the first pattern that has it.
        size: the number of tokens in the vocabulary.
    """

    shape: _Shape
    classes: tuple[tuple[int, Flags], ...]
    keys: tuple[Ids, ...]
    numbers: Ids
    size: int

    @classmethod
    def of(
        cls, shape: _Shape, patterns: Sequence[Pattern], numbers: Sequence[int], size: int
    ) -> _Family:
        """The family of some patterns, which have these numbers, in rising order."""
        tokens = np.arange(size)
        classes = tuple((back, np.isin(tokens, list(allowed))) for back, allowed in shape.classes)
        keys = []
        codes = np.zeros(len(patterns), dtype=np.int64)
        for back in shape.singles:
            tokens = np.array([min(pattern.backwards(back)) for pattern in patterns], dtype=np.int64)
            key, codes = np.unique(codes * size + tokens, return_inverse=True)
            keys.append(key)
            codes = codes.reshape(-1)
        _, first = np.unique(codes, return_index=True)
        return cls(shape, classes, tuple(keys), np.array(numbers, dtype=np.int64)[first], size)

    def matches(self, texts: Ids, rows: Ids, places: Ids) -> tuple[Ids, Ids]:
        """Which contexts end in one of the patterns, and in the first of them: [match], [match]."""
        last = self.shape.length - 1
        fits = places == last if self.shape.anchored else places >= last
        at = np.flatnonzero(fits)
        for back, allowed in self.classes:
            at = at[allowed[texts[rows[at], places[at] - back]]]
        codes = np.zeros(len(at), dtype=np.int64)
        for back, keys in zip(self.shape.singles, self.keys, strict=True):
            wanted = codes * self.size + texts[rows[at], places[at] - back]
            codes = np.searchsorted(keys, wanted)
            codes[codes == len(keys)] = 0
            known = keys[codes] == wanted
            at, codes = at[known], codes[known]
        return at, self.numbers[codes]
