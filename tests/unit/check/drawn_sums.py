"""Random sums of alternatives, what float32 makes of each, and MLPs that read them."""

from __future__ import annotations

from itertools import product

import float32_steps as steps
import numpy as np
from float32_steps import F, boxes
from hypothesis import reject
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.spans import Spanned
from handcraft_check.by_windows.sums import Sums
from handcraft_check.layers.matrix import Matrix

EPSILON = 1e-5

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def drawn(rng, width):
    """Sums of one row, and all the sums that they stand for: [alternative, dimension]."""
    tables, sets = [], []
    for _ in range(rng.integers(1, 4)):
        table = rng.choice([-1.0, 1.0, 0.0, 0.5], size=(4, width))
        table[:, rng.random(width) < 0.5] = 0
        tables.append(table)
        sets.append(np.sort(rng.permutation(4)[: rng.integers(1, 4)]))
    known = boxes(rng, 1, width, most=3).center
    parts = []
    for table, chosen in zip(tables, sets, strict=True):
        number = chosen[0] if len(chosen) == 1 else len(table)
        parts.append(Part(table, [chosen], np.array([number])))
    error = np.abs(rng.normal(size=(1, width))) * 2.0 ** -rng.integers(8, 20)
    each = [
        known[0] + sum(table[i] for table, i in zip(tables, choice, strict=True))
        for choice in product(*sets)
    ]
    return Sums(parts, Stream.of(Bounded(known, error))), np.array(each)


def in_float32(rng, sums, each):
    """Float32 numbers as far from each sum as the error says; rejects sums that have none near."""
    nearest = each.astype(F)
    if not (np.abs(nearest - each) <= sums.error).all():
        reject()
    rows = (each + sums.error * rng.uniform(-1, 1, size=each.shape)).astype(F)
    return np.where(np.abs(rows - each) <= sums.error, rows, nearest)


def random_mlp(rng, width, units):
    """Gain and bias of LayerNorm, and the matrices of an MLP behind it."""
    gain, bias = (boxes(rng, 1, width, most=2).center[0] for _ in range(2))
    up = Matrix(boxes(rng, width, units, most=3).center, boxes(rng, 1, units).center[0])
    down = Matrix(boxes(rng, units, width, most=3).center, boxes(rng, 1, width).center[0])
    np.clip(up.weight, -64, 64, out=up.weight)
    np.clip(down.weight, -64, 64, out=down.weight)
    return gain, bias, up, down


def written_in_float32(rng, rows, gain, bias, up, down):
    """What units read in float32, [row, unit], and what they add to the stream, [row, dimension]."""
    normed = steps.layer_norm(rng, rows, gain, bias, EPSILON)
    read = steps.product(rng, normed, up.weight, up.bias)
    written = steps.product(rng, steps.gelu(read), down.weight, down.bias)
    return read, written.astype(np.float64)


def drawn_with_spans(rng, width):
    """Sums that have errors in common, the sums that they stand for, and float32 numbers near these."""
    sums, each = drawn(rng, width)
    shape = len(each), int(rng.integers(1, 6))
    spans = rng.normal(size=(1, shape[1], width)) * 2.0 ** -rng.integers(2, 12)
    stream = sums.stream
    stream = Spanned.with_spans(
        stream.center, stream.error + np.abs(spans).sum(axis=1), stream.box, spans
    )
    off = (rng.choice([-1, 0, 1], size=shape) * rng.random(shape)) @ spans[0]
    rows = in_float32(rng, sums, each + off)
    return Sums(sums.parts, stream), each, rows
