"""The subspaces of the residual stream that store each feature."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, count

from handcraft.circuits import (
    Coefficients,
    LinearMap,
    Subspace,
    flag,
    one_hot,
    scalar,
    small,
)
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.feature import Feature, Reading
from handcraft.language.graph.domain import Plain, Value
from handcraft.language.graph.labels import WIDTHS, distinct
from handcraft.language.graph.wording import Wording
from handcraft.vocabulary import Vocabulary

RESERVED = ("rest", "nothing")
"""Names of subspaces that store no value of a program."""


class Places:
    """The subspaces of all features.

    Args:
        assembly: all features.
        vocabulary: the tokens.
    """

    def __init__(self, assembly: Assembly, vocabulary: Vocabulary) -> None:
        self.assembly = assembly
        self.vocabulary = vocabulary
        self.taken = set(RESERVED)
        self.subspaces: dict[int, list[Subspace]] = {}
        self._parts: dict[int, tuple[Reading, tuple[Coefficients, ...]]] = {}
        self._labels = distinct(feature.node.text for feature in assembly.features.by_node.values())
        for feature in assembly.features.by_node.values():
            self.subspaces[id(feature)] = self._named(feature)

    def _named(self, feature: Feature) -> list[Subspace]:
        if feature.within is not None:
            return []
        name = self._unique(self.label(feature.node.text))
        if feature.is_one_hot:
            values = [_shown(value) for value in feature.values]
            return [one_hot(name, [*values, *self._begin])]
        if feature.code is not None:
            return [feature.code(name)]
        others = [self._unique(f"{name} ({i + 1})") for i in range(1, len(feature.numbers))]
        names = [name, *others][: len(feature.numbers)]
        return [_encoding(feature, i)(each) for i, each in enumerate(names)]

    @property
    def _begin(self) -> list[str]:
        """The begin token, if there is one: a value that the token has besides its own."""
        begin = self.assembly.features.begin
        return [] if begin is None else [begin]

    def label(self, text: Wording) -> str:
        """A text, shortened where it is long, but not so far that it reads like another feature."""
        return self._labels.get(str(text)) or text.within(WIDTHS[0])

    def _unique(self, name: str) -> str:
        """The name, numbered if it is taken: users may choose any name."""
        numbered = (f"{name}, {number}" for number in count(2))
        found = next(each for each in chain([name], numbered) if each not in self.taken)
        self.taken.add(found)
        return found

    def logits(self) -> Subspace:
        """A subspace for logits alone, in which the token is embedded too."""
        return one_hot(self._unique("answer"), [*self.vocabulary.tokens, *self._begin])

    def channel(self, name: str) -> Subspace:
        """A channel of a head, with a name that no subspace of the residual stream has."""
        while name in self.taken:
            name += "'"
        return scalar(name)

    def dimension(self, feature: Feature, i: int) -> tuple[Subspace, int]:
        """The subspace and the dimension in it of one number."""
        while feature.within is not None:
            feature, i = feature.within
        subspaces = self.subspaces[id(feature)]
        return (subspaces[0], i) if feature.is_one_hot or feature.is_code else (subspaces[i], 0)

    def added(self, feature: Feature) -> list[tuple[Plain, tuple[Subspace, int]]]:
        """The dimensions of the sums to which a number is added, each with its factor."""
        return [(factor, self.dimension(total, 0)) for factor, total in feature.adds]

    def spans(self, *, negative: bool) -> dict[tuple[Subspace, int], tuple[Plain, Plain]]:
        """The smallest and the largest number of every dimension whose range is known.

        Args:
            negative: whether to include numbers that may be less than 0.
        """
        found = {}
        for feature in self.assembly.features.by_node.values():
            for i in range(len(feature.values)) if feature.is_one_hot else feature.numbers.values():
                low, high = (0, 1) if feature.is_one_hot else feature.span(i)
                if negative or low >= 0:
                    found[self.dimension(feature, i)] = (low, high)
        return found

    def coefficients(self, reading: Reading) -> tuple[Coefficients, ...]:
        """The coefficients of a reading, subspace by subspace."""
        if len(reading.parts) > 1:
            found = [each for part in reading.parts for each in self._known(part)]
            if len({each.subspace for each in found}) == len(found):
                return tuple(found)
        return self._summed(reading)

    def _known(self, part: Reading) -> tuple[Coefficients, ...]:
        """The coefficients of a reading that is a part of many."""
        if id(part) not in self._parts:
            self._parts[id(part)] = part, self._summed(part)
        return self._parts[id(part)][1]

    def _summed(self, reading: Reading) -> tuple[Coefficients, ...]:
        """The coefficients of a reading, each once."""
        entries: dict[Subspace, dict[int, Plain]] = {}
        for factor, feature, i in reading.terms:
            subspace, dimension = self.dimension(feature, i)
            row = entries.setdefault(subspace, {})
            if not (feature.is_one_hot and feature.numbers):
                row[dimension] = row[dimension] + factor if dimension in row else factor
                continue
            for place, number in enumerate(feature.numbers_at(i)):  # stored one-hot, all are sums
                row[place] = row.get(place, 0) + factor * number
        return tuple(
            Coefficients(s, tuple(sorted((i, n) for i, n in row.items() if n)))
            for s, row in entries.items()
        )

    def maps(self, reading: Reading, target: Subspace, at: int = 0) -> list[LinearMap]:
        """The maps of a reading into one dimension of a channel."""
        return [
            LinearMap(part.subspace, target, tuple((i, at, n) for i, n in part.entries))
            for part in self.coefficients(reading)
        ]


def _encoding(feature: Feature, i: int) -> Callable[[str], Subspace]:
    """The constructor of the subspace for one of the numbers of a feature."""
    if feature.is_flag(i):
        return flag
    return small if feature.is_small(i) else scalar


def _shown(value: Value) -> str | int:
    """A value as the name of its dimension."""
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)
