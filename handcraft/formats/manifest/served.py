"""Which origins every nonzero weight serves, as runs of neighbours that serve the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.display import shorten_value
from handcraft.formats.foreign_files import whole
from handcraft.origin import Origin
from handcraft.weights import Placement

Origins = dict[str, dict[tuple[int, ...], tuple[Origin, ...]]]


def served_runs(placement: Placement, number: Callable[[Origin], int]) -> dict[str, list[list[Any]]]:
    """For each tensor, which origins its nonzero weights serve.

    Neighbours along the last axis that serve the same are one run: the index of the first, how many
    they are, and the numbers of their origins.

    `number` gives the number of an origin.
    """
    return {
        name: _runs(tensor.origins, number) if tensor.origins else []
        for name, tensor in placement.tensors.items()
    }


def _runs(
    origins: Mapping[tuple[int, ...], tuple[Origin, ...]], number: Callable[[Origin], int]
) -> list[list[Any]]:
    indices = np.array([*origins], dtype=np.int64)  # [weight, axis]
    order = np.lexsort(indices.T[::-1])
    indices, served = indices[order], [*origins.values()]
    # All weights of a neuron have the same tuple of origins, which is looked up once.
    same = np.array([id(each) for each in served])[order]
    _, first, which = np.unique(same, return_index=True, return_inverse=True)
    lists: dict[tuple[int, ...], int] = {}
    found = np.empty(len(first), dtype=np.int64)
    for each in np.argsort(first).tolist():
        places = map(number, served[order[first[each]]])
        found[each] = lists.setdefault(tuple(places), len(lists))
    return runs_of(indices, found[which.reshape(-1)], [[*places] for places in lists])


def runs_of(
    indices: npt.NDArray[np.int64], serves: npt.NDArray[np.int64], listed: Sequence[list[int]]
) -> list[list[Any]]:
    """Runs of neighbours that serve the same.

    Args:
        indices: of weights, in order: [weight, axis].
        serves: for each, the place in `listed` of what it serves.
        listed: the numbers of the origins.
    """
    step = np.diff(indices, axis=0)
    follows = (step[:, :-1] == 0).all(axis=1) & (step[:, -1] == 1) & (np.diff(serves) == 0)
    starts = np.flatnonzero(np.concatenate([[True], ~follows]))
    lengths = np.diff(np.append(starts, len(indices)))
    return [
        [*index, length, listed[which]]
        for index, length, which in zip(
            indices[starts].tolist(), lengths.tolist(), serves[starts].tolist(), strict=True
        )
    ]


def read_served(
    weights: Mapping[str, Any], origins: Sequence[Origin], shapes: Mapping[str, tuple[int, ...]]
) -> Origins:
    """For each tensor, what every nonzero weight serves, by its index."""
    return {name: _weights_served(name, runs, shapes[name], origins) for name, runs in weights.items()}


def _weights_served(
    name: str, runs: Iterable[Any], sizes: tuple[int, ...], origins: Sequence[Origin]
) -> dict[tuple[int, ...], tuple[Origin, ...]]:
    """What the weights of one tensor serve. Runs are in order, so they are no more than its weights."""
    found: dict[tuple[int, ...], tuple[Origin, ...]] = {}
    before: tuple[int, ...] = ()
    for *first, length, places in runs:
        index = tuple(whole(i) for i in first)
        is_inside = all(0 <= i < size for i, size in zip(index, sizes, strict=True))
        if not is_inside or index <= before or not 0 < whole(length) <= sizes[-1] - index[-1]:
            raise ValueError(f"{name} has a run of {shorten_value(length)} weights at {list(index)}")
        served = tuple(origins[whole(place)] for place in places)
        for step in range(length):
            before = (*index[:-1], index[-1] + step)
            found[before] = served
    return found
