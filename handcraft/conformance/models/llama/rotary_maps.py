"""The maps of a head whose score is one of distance."""

from __future__ import annotations

import numpy as np

from handcraft.model.layers.attention import Array
from handcraft.rotary.score import RotaryScore


def query_of(score: RotaryScore) -> Array:
    """The query as a row of channels, first components and then second ones: [1, head_dim]."""
    numbers = [[float(part) for part in pair] for pair in score.queries]  # [pair, 2]
    row: Array = np.array(numbers, dtype=np.float32).T.reshape(1, -1)
    return row


def key_of(parts: tuple[object, ...], head_dim: int) -> Array:
    """A key, whose second components are 0, as one row of channels: [1, head_dim]."""
    row = np.zeros((1, head_dim), dtype=np.float32)
    row[0, : head_dim // 2] = [float(part) for part in parts]  # type: ignore[arg-type]
    return row
