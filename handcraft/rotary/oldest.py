"""A head that attends to the oldest token of the text that it sees: it shows how long a window is."""

from __future__ import annotations

from math import sqrt

import numpy as np

from handcraft.dtype import DType
from handcraft.errors import PrecisionError
from handcraft.rotary.look_back import look_back_keys
from handcraft.rotary.rotation import Floats, Rotation
from handcraft.rotary.round_query import as_pairs, rounded_query
from handcraft.rotary.score import RotaryScore
from handcraft.rotary.solve_query import Comparisons, solve_query


def oldest_visible(rotation: Rotation, dtype: DType, nats: float) -> RotaryScore:
    """A score that rises with the distance of a text token, with the begin token below all of them.

    Args:
        rotation: how queries and keys are rotated, without a window: that of an engine is unknown.
        dtype: in which a tool computes.
        nats: by how much a token must lead the next one.

    Raises:
        PrecisionError: no query has the gap; the steps of all distances add up.
    """
    found = _steepest(rotation, dtype, nats)
    if found.gap >= nats:
        return found
    positions = rotation.positions
    while positions > 2:
        positions -= 1
        shorter = Rotation(rotation.head_dim, rotation.theta, positions)
        if _steepest(shorter, dtype, nats).gap >= nats:
            break
    raise PrecisionError(
        f"a score that rises with distance leads by {found.gap:.1f} nats a step in {dtype.name}, "
        f"{nats - found.gap:.1f} less than the {nats:g} that are needed, with head_dim="
        f"{rotation.head_dim}, theta={rotation.theta:g} and {rotation.positions:,} positions",
        fix=f"{positions:,} positions are few enough",
        is_tight=True,
    )


def _steepest(rotation: Rotation, dtype: DType, nats: float) -> RotaryScore:
    """The score whose gap is less than `nats` if none has that."""
    keys = look_back_keys(rotation)
    sources = keys.sources(rotation, dtype)
    older = np.arange(1, rotation.text_distances)
    begin = rotation.text_distances + np.arange(1, rotation.begin_distances)  # at each position

    def kinds(low: Floats, high: Floats) -> list[Comparisons]:
        return [(older, older - 1), (np.arange(len(begin)), begin)]

    direction, _ = solve_query(sources, kinds, at_least_0=np.array([], int))
    query, gap = rounded_query(direction, sources, kinds, dtype, nats, 1 / sqrt(rotation.head_dim))
    return RotaryScore(as_pairs(query), keys.text, keys.begin, gap)
