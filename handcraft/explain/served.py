"""Which rules and values the weights of a model serve, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from handcraft.origin import Origin
from handcraft.weights import Weights


class Served:
    """What the weights of a model serve; nothing for a model that was not compiled here."""

    def __init__(self, weights: Weights | None) -> None:
        self._origins: Mapping[str, Mapping[tuple[int, ...], Sequence[Origin]]]
        self._origins = {} if weights is None else weights.origins
        self._by_row = cache(self._rows_of)

    def rows(self, tensor: str, rows: Iterable[int]) -> tuple[Origin, ...]:
        """What some rows of a matrix serve, each once."""
        by_row = self._by_row(tensor)
        return tuple(dict.fromkeys(origin for row in rows for origin in by_row.get(row, ())))

    def places(self, bias: str) -> Mapping[tuple[Origin, ...], list[int]]:
        """The places of a bias, by what they serve."""
        found: dict[tuple[Origin, ...], list[int]] = {}
        for (place,), origins in self._origins.get(bias, {}).items():
            found.setdefault(tuple(origins), []).append(place)
        return found

    def _rows_of(self, tensor: str) -> Mapping[int, dict[Origin, None]]:
        found: dict[int, dict[Origin, None]] = {}
        for index, origins in self._origins.get(tensor, {}).items():
            found.setdefault(index[0], {}).update(dict.fromkeys(origins))
        return found
