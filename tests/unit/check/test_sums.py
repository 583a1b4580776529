"""What is computed of sums of alternatives contains what float32 makes of each of them."""

from __future__ import annotations

from itertools import product

import float32_steps as steps
import numpy as np
from drawn_sums import EPSILON, drawn, in_float32, random_mlp, seeds, written_in_float32
from float32_steps import F, assert_inside, boxes
from hypothesis import assume, given
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows.copies import adds_exactly
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import Sums, layer_norm_of_sums
from handcraft_check.layers.hidden_units import mlp
from handcraft_check.layers.matrix import Matrix


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
    rows = in_float32(rng, sums, each)
    gain, bias = (boxes(rng, 1, width, most=3).center[0] for _ in range(2))
    matrix = Matrix(boxes(rng, width, 5, most=3).center, boxes(rng, 1, 5).center[0])
    found, _ = layer_norm_of_sums(sums, gain, bias, EPSILON).read(matrix)
    assume(not np.isnan(found.center + found.error).any())
    normed = steps.layer_norm(rng, rows, gain, bias, EPSILON)
    assert_inside(steps.product(rng, normed, matrix.weight, matrix.bias), found)


@given(seeds, st.integers(2, 10), st.integers(1, 8))
def test_what_an_mlp_makes_of_sums(rng, width, units):
    sums, each = drawn(rng, width)
    rows = in_float32(rng, sums, each)
    gain, bias, up, down = random_mlp(rng, width, units)
    if rng.random() < 0.7:  # beyond the curved part of GELU
        up.bias[:] = rng.choice([-1, 1], size=units) * rng.choice([16, 256, 4096])
    found = mlp(layer_norm_of_sums(sums, gain, bias, EPSILON), up, down)
    assume(not np.isnan(found.center + found.error).any())
    _, written = written_in_float32(rng, rows, gain, bias, up, down)
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
