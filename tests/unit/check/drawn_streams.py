"""Streams with a few directions, and rows that agree with all that is known of them."""

from __future__ import annotations

import numpy as np
from float32_steps import F, boxes

from handcraft_check.arithmetic.stream import Along, Stream


def drawn_stream(rng, count, width, *, large=True):
    """A stream with a few directions, and exact rows (in float64) that agree with all that it says.

    The rows are drawn from the directions and the box; the error is what this can reach, or a little
    less, with the rows that it leaves out taken to its edge.
    """
    rows = boxes(rng, int(rng.integers(1, 5)), width, most=2).center
    if width > 1:
        rows[0, :2] = [1, -1]
    radii = 2.0 ** rng.integers(-20, 1 if large else -8, size=(count, len(rows)))
    radii *= rng.random(radii.shape) < 0.7
    x = boxes(rng, count, width, wide=False)
    moved = radii * rng.choice([-1, 0, 1, 0.3], size=radii.shape) @ rows
    beside = x.error * rng.choice([-1, 0, 1], size=x.error.shape)
    reach = x.error + radii @ np.abs(rows)
    error = np.maximum(reach * rng.choice([1, 0.8]), np.abs(moved + beside)) * (1 + 1e-12)
    return Stream(x.center, error, x.error, radii, Along(rows)), x.center + moved + beside


def in_float32(rng, stream, exact):
    """The nearest float32 rows, and the stream with the box that allows for that."""
    found = exact.astype(F)
    apart = np.abs(found.astype(np.float64) - exact)
    wider = Stream(stream.center, stream.error + apart, stream.box + apart, stream.radii, stream.along)
    return wider, found
