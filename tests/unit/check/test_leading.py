"""What errors along directions do behind LayerNorm, where they move the standard deviation too."""

from __future__ import annotations

import float32_steps as steps
import numpy as np
import pytest
from float32_steps import F, assert_inside
from hypothesis import given
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Along, Stream
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import Sums, layer_norm_of_sums
from handcraft_check.layers.layer_norm import layer_norm
from handcraft_check.layers.matrix import Matrix

EPSILON = float(F(1e-5))

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def drawn(rng, count, width):
    """A stream of which each row is little else than what errs, and rows that agree with it."""
    directions = int(rng.choice([1, 2, 8]))
    along = rng.choice([-1.0, 1.0, 0.5, 0.0], size=(directions, width))
    times = rng.choice([0, 1, 16, -8, 100], size=(count, directions))
    center = (times @ along + rng.normal(size=(count, width)) * 2.0**-3).astype(F).astype(np.float64)
    radii = np.abs(times) * 2.0 ** rng.integers(-16, -2) * rng.choice([0, 1], size=times.shape)
    ends = rng.choice([-1, 1, 0.3], size=radii.shape) if rng.random() < 0.5 else rng.choice([-1, 1])
    apart = radii * ends @ along
    rows = (center + apart).astype(F)
    box = np.abs(rows - (center + apart)) + 2.0**-50 * np.abs(center)
    error = box + radii @ np.abs(along)
    return Stream(center, error, box, radii, Along(along)), rows


@given(seeds, st.integers(2, 10))
def test_a_product_behind_layer_norm(rng, width):
    stream, rows = drawn(rng, 3, width)
    gain, bias = rng.choice([1.0, 2.0, -0.5], size=width), rng.normal(size=width).astype(F)
    matrix = Matrix(rng.choice([-8.0, 1.0, 0.0], size=(width, 6)), rng.normal(size=6).astype(F))
    found, _ = layer_norm(stream, gain, bias.astype(np.float64), EPSILON).read(matrix)
    normed = steps.layer_norm(rng, rows, gain, bias, EPSILON)
    assert_inside(steps.product(rng, normed, matrix.weight, matrix.bias), found)


@given(seeds, st.integers(2, 10))
def test_a_product_behind_layer_norm_of_sums(rng, width):
    stream, rows = drawn(rng, 1, width)
    table = rng.choice([-1.0, 1.0, 0.0], size=(3, width)) * rng.choice([1, 8, 64])
    if rng.random() < 0.5:  # alternatives of one norm
        table = np.stack([table[0], np.roll(table[0], 1), -table[0]])
    sums = Sums([Part(table, [np.arange(3)], np.array([3]))], stream)
    each = rows[0].astype(np.float64) + table
    lost = np.abs(each.astype(F) - each).max(axis=0)
    wider = Stream(stream.center, stream.error + lost, stream.box + lost, stream.radii, stream.along)
    gain, bias = rng.choice([1.0, 2.0, -0.5], size=width), rng.normal(size=width).astype(F)
    matrix = Matrix(rng.choice([-8.0, 1.0, 0.0], size=(width, 6)), rng.normal(size=6).astype(F))
    normed = layer_norm_of_sums(Sums(sums.parts, wider), gain, bias.astype(np.float64), EPSILON)
    found, _ = normed.read(matrix)
    if np.isnan(found.error).any():
        return
    exact = steps.layer_norm(rng, each.astype(F), gain, bias, EPSILON)
    assert_inside(steps.product(rng, exact, matrix.weight, matrix.bias), found)


def test_an_error_of_the_whole_row_is_none():
    along = np.array([[1.0, -1.0, 1.0, -1.0]])
    error = np.full((1, 4), 0.1)
    stream = Stream(16 * along, error, np.zeros((1, 4)), error[:, :1], Along(along))
    ones, none = np.ones(4), np.zeros(4)
    matrix = Matrix(np.array([[100.0], [-100.0], [100.0], [-100.0]]), np.zeros(1))
    found, _ = layer_norm(stream, ones, none, EPSILON).read(matrix)
    assert found.center == pytest.approx(400, rel=1e-4)
    assert found.error < 0.05  # by 0.1 of 16 the sum would err by 2.5
    apart, _ = layer_norm(Stream.of(Bounded(16 * along, error)), ones, none, EPSILON).read(matrix)
    assert apart.error > 2
