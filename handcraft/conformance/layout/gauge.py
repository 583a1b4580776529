"""A gauge: a model measures a number that it computed, and answers with the nearest mark.

The number is the difference from what is right, in units of a step, so that the right answer is the
mark ``+0``. Mark j has the logit 2 j x + 1 - j**2, a tangent of the parabola x**2 + 1: the highest one
belongs to the mark that is nearest to x. At x = 0 the right mark has 1, its neighbours 0 and all others
less. The marks read x and the 1 from the stream, and a norm in between scales both alike.
"""

from __future__ import annotations

import numpy as np

from handcraft.conformance.layout.stream import Stream
from handcraft.model.layers.attention import Array

FURTHEST = 8
"""The last mark on either side; what is further away is read as this one."""

MARKS = tuple(f"{j:+d}" for j in range(-FURTHEST, FURTHEST + 1))
"""The tokens that a gauge answers with."""

GROUPS = {"reading": 1, "one": 1}
"""The dimensions that a gauge reads: x, and the 1."""


def mark_rows(stream: Stream, scale: float) -> Array:
    """The rows of the unembedding for `MARKS`, times `scale`: [mark, width]."""
    j = np.arange(-FURTHEST, FURTHEST + 1, dtype=np.float32)[:, None]
    return stream.rows(len(j), reading=2 * j * scale, one=(1 - j * j) * scale)


def mark_of(difference: float, step: float) -> str:
    """The mark that is nearest to a difference from what is right."""
    nearest = max(-FURTHEST, min(FURTHEST, round(difference / step)))
    return f"{nearest:+d}"
