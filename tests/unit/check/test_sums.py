"""What is computed of sums of alternatives contains what float32 makes of each of them."""

from __future__ import annotations

from itertools import product

import float32_steps as steps
import numpy as np
from float32_steps import F, assert_inside, boxes
from hypothesis import given
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows.copies import adds_exactly
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import Sums, layer_norm_of_sums
from handcraft_check.layers.hidden_units import mlp
from handcraft_check.layers.layer_norm import Matrix

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
    """Float32 numbers as far from each sum as the error says."""
    apart = sums.error * rng.uniform(-1, 1, size=each.shape)
    rows = (each + apart).astype(F)
    is_inside = np.abs(rows - each) <= sums.error
    nearest = each.astype(F)
    return np.where(is_inside, rows, nearest), (np.abs(nearest - each) <= sums.error).all()


@given(seeds, st.integers(1, 10))
def test_ranges_squares_and_boxes(rng, width):
    sums, each = drawn(rng, width)
    weight = rng.normal(size=(width, 3))
    slack = 1e-12 * (1 + np.abs(each).max()) ** 2 * width
    for found, exact in (
        (sums.range(weight), each @ weight),
        (sums.box, each),
        (sums.squares(), np.square(each).sum(axis=1)),
    ):
        assert (found[0][0] <= exact.min(axis=0) + slack).all()
        assert (found[1][0] >= exact.max(axis=0) - slack).all()
    low, high = sums.range(weight)  # a weighted sum is exactly as wide as its alternatives
    assert np.allclose(low[0], (each @ weight).min(axis=0), atol=slack)
    assert np.allclose(high[0], (each @ weight).max(axis=0), atol=slack)
    assert (sums.size >= np.abs(each).max(axis=0) - slack).all()


@given(seeds, st.integers(2, 10))
def test_what_layer_norm_and_a_product_make_of_sums(rng, width):
    sums, each = drawn(rng, width)
    rows, is_there = in_float32(rng, sums, each)
    if not is_there:
        return
    gain, bias = (boxes(rng, 1, width, most=3).center[0] for _ in range(2))
    matrix = Matrix(boxes(rng, width, 5, most=3).center, boxes(rng, 1, 5).center[0])
    found, _ = layer_norm_of_sums(sums, gain, bias, EPSILON).read(matrix)
    if np.isnan(found.center + found.error).any():
        return
    normed = steps.layer_norm(rng, rows, gain, bias, EPSILON)
    assert_inside(steps.product(rng, normed, matrix.weight, matrix.bias), found)


@given(seeds, st.integers(2, 10), st.integers(1, 8))
def test_what_an_mlp_makes_of_sums(rng, width, units):
    sums, each = drawn(rng, width)
    rows, is_there = in_float32(rng, sums, each)
    if not is_there:
        return
    gain, bias = (boxes(rng, 1, width, most=2).center[0] for _ in range(2))
    up = Matrix(boxes(rng, width, units, most=3).center, boxes(rng, 1, units).center[0])
    down = Matrix(boxes(rng, units, width, most=3).center, boxes(rng, 1, width).center[0])
    np.clip(up.weight, -64, 64, out=up.weight)
    np.clip(down.weight, -64, 64, out=down.weight)
    if rng.random() < 0.7:  # beyond the curved part of GELU
        up.bias[:] = rng.choice([-1, 1], size=units) * rng.choice([16, 256, 4096])
    found = mlp(layer_norm_of_sums(sums, gain, bias, EPSILON), up, down)
    if np.isnan(found.center + found.error).any():
        return
    normed = steps.layer_norm(rng, rows, gain, bias, EPSILON)
    hidden = steps.gelu(steps.product(rng, normed, up.weight, up.bias))
    written = steps.product(rng, hidden, down.weight, down.bias).astype(np.float64)
    after = Sums(sums.parts, found)
    lost = 2.0**-48 * (np.abs(written) + np.abs(each) + np.abs(found.center))
    total = rows.astype(np.float64) + written
    apart = total - (each - sums.known) - found.center
    assert (np.abs(apart) <= found.error + lost).all()
    assert (np.abs(total) <= after.size + lost).all()
    common = found.box + found.radii @ found.along.size
    assert (np.abs(apart) <= common * (1 + 1e-9) + lost).all()


def test_rows_of_a_sum_that_is_about_0_are_no_numbers():
    part = Part(np.array([[1.0, -1.0], [-1.0, 1.0]]), [np.array([0, 1])], np.array([2, 0]))
    sums = Sums([part], Stream.of(Bounded(np.zeros((2, 2)), np.zeros((2, 2)))))
    ones, none = np.ones(2), np.zeros(2)
    found, _ = layer_norm_of_sums(sums, ones, none, EPSILON).read(Matrix(np.eye(2), none))
    assert np.isfinite(found.error).all()  # every alternative has the norm of the others
    assert np.allclose(found.error[0], 1, atol=1e-4)
    wide = Part(np.array([[1.0, -1.0], [0.0, 0.0]]), [np.array([0, 1])], np.array([2]))
    sums = Sums([wide], Stream.of(Bounded(np.zeros((1, 2)), np.zeros((1, 2)))))
    found, _ = layer_norm_of_sums(sums, ones, none, EPSILON).read(Matrix(np.eye(2), none))
    assert np.isnan(found.error).all()


@given(seeds)
def test_sums_that_are_exact_in_float32(rng):
    one, other = (rng.integers(-9, 10, size=(3, 4)) * 2.0 ** rng.integers(-3, 20) for _ in range(2))
    is_exact = adds_exactly(one, other)
    for a, b in product(one, other):
        rounded = (a.astype(F) + b.astype(F)).astype(np.float64)
        assert (rounded == a + b)[is_exact].all()
    assert adds_exactly(np.array([[1.0, 2.0**24]]), np.array([[0.5, 1.0]])).tolist() == [True, False]
