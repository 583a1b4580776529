"""Which rules and values the weights of a model serve, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from handcraft.model import OutputMatrix
from handcraft.origin import Origin
from handcraft.weights import Weights


class Served:
    """What the weights of a model serve; nothing for a model that was not compiled here."""

    def __init__(self, weights: Weights | None) -> None:
        self._origins: Mapping[str, Mapping[tuple[int, ...], Sequence[Origin]]]
        self._origins = {} if weights is None else weights.origins
        self._by_row = cache(self._rows_of)

    def rows(self, matrix: OutputMatrix, places: Iterable[int]) -> tuple[Origin, ...]:
        """What the weights of some channels or hidden units serve, each once."""
        by_row = self._by_row(matrix)
        return tuple(dict.fromkeys(origin for row in places for origin in by_row.get(row, ())))

    def bias(self, name: str) -> Mapping[tuple[Origin, ...], list[int]]:
        """The places of a bias, by what they serve."""
        found: dict[tuple[Origin, ...], list[int]] = {}
        for (place,), origins in self._origins.get(name, {}).items():
            found.setdefault(tuple(origins), []).append(place)
        return found

    def row(self, matrix: OutputMatrix, place: int) -> Mapping[tuple[Origin, ...], list[int]]:
        """The dimensions that one channel or hidden unit writes to, by what its weights there serve."""
        found: dict[tuple[Origin, ...], list[int]] = {}
        for index, origins in self._origins.get(matrix.weight, {}).items():
            if index[matrix.axis] == place:
                found.setdefault(tuple(origins), []).append(index[1 - matrix.axis])
        return found

    def _rows_of(self, matrix: OutputMatrix) -> Mapping[int, dict[Origin, None]]:
        found: dict[int, dict[Origin, None]] = {}
        for index, origins in self._origins.get(matrix.weight, {}).items():
            found.setdefault(index[matrix.axis], {}).update(dict.fromkeys(origins))
        return found
