"""Errors that hidden units have in common, few in each row."""

from __future__ import annotations

from dataclasses import replace

import float32_steps as steps
import numpy as np
from drawn_sums import (
    EPSILON,
    drawn_with_spans,
    random_mlp,
    seeds,
    written_in_float32,
)
from float32_steps import F, assert_inside, boxes
from hypothesis import assume, given
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import TINY, UNIT
from handcraft_check.arithmetic.stream import Along, Readers, Stream
from handcraft_check.by_windows import spans as spans_of
from handcraft_check.by_windows.few_units import Open, few_units
from handcraft_check.by_windows.spans import Spanned, joined
from handcraft_check.by_windows.sums import Sums, layer_norm_of_sums
from handcraft_check.layers.hidden_units import GELU
from handcraft_check.layers.matrix import Matrix


def streams(rng, rows, width):
    """A stream with directions that all rows share, and points that it may be."""
    count = int(rng.integers(0, 7))
    directions = rng.normal(size=(count, width)) * (rng.random((count, width)) < 0.7)
    box, radii = rng.random((rows, width)), rng.random((rows, count)) * 2.0 ** rng.integers(-6, 3)
    radii[rng.random((rows, count)) < 0.3] = 0
    center, along = rng.normal(size=(rows, width)), Along(directions)
    error = (box + radii @ along.size) * rng.choice([1, 2])
    off = box * rng.choice([-1, 1], size=box.shape)
    off += (radii * rng.choice([-1, 1], size=radii.shape)) @ directions
    return Stream(center, error, box, radii, along), center + off


def assert_contains(x, points, rng):
    weight = rng.normal(size=(x.center.shape[1], 5))
    apart = points - x.center
    assert (np.abs(apart) <= x.error + 1e-9).all()
    assert (np.abs(apart @ weight) <= x.spread(Readers.of(weight, x.along)) + 1e-9).all()
    each = rng.normal(size=x.center.shape)
    assert (np.abs((apart * each).sum(axis=1)) <= x.spread_of_each(each) + 1e-9).all()


@given(seeds, st.integers(1, 5), st.integers(1, 6))
def test_few_common_errors_of_each_row(rng, rows, width):
    shared, points = streams(rng, rows, width)
    found = Spanned.of_stream(shared)
    assert found.spans.shape[1] <= spans_of.MOST
    others, more = streams(rng, rows, width)
    both = np.concatenate([points, more])
    for x, each in (
        (found, points),
        (found.tight(), points),
        (found.shared(), points),
        (found[rows - 1 :], points[rows - 1 :]),
        (joined([found, Spanned.of_stream(others)]), both),
    ):
        assert_contains(x, each, rng)


@given(seeds, st.integers(1, 5), st.integers(1, 6))
def test_the_largest_of_many_common_errors_are_kept(rng, rows, width):
    shared, _ = streams(rng, rows, width)
    spans = rng.normal(size=(rows, 7, width)) * 2.0 ** rng.integers(-4, 4, size=(rows, 7, 1))
    error = shared.box + np.abs(spans).sum(axis=1)
    found = Spanned.with_spans(shared.center, error, shared.box, spans)
    for _ in range(8):
        off = (spans * rng.choice([-1, 1], size=(rows, 7, 1))).sum(axis=1)
        points = shared.center + off + shared.box * rng.choice([-1, 1], size=shared.box.shape)
        assert_contains(found, points, rng)


def test_an_error_that_both_dimensions_have_cancels():
    none = np.zeros((1, 2))
    x = Stream(none, none + 1, none, np.ones((1, 1)), Along(np.array([[1.0, 1.0]])))
    difference = Readers.of(np.array([[1.0], [-1.0]]), x.along)
    for each in (x, Spanned.of_stream(x), joined([Spanned.of_stream(x)])):
        assert each.spread(difference)[0, 0] < 1e-9
    assert replace(Spanned.of_stream(x), box=none + 1).spread(difference)[0, 0] == 2


@given(seeds, st.integers(2, 8), st.integers(1, 6))
def test_two_mlps_one_behind_the_other(rng, width, units):
    sums, each, rows = drawn_with_spans(rng, width)
    for _ in range(2):
        gain, bias, up, down = random_mlp(rng, width, units)
        up.bias[:] = rng.choice([-1, -1, 1], size=units) * rng.choice([16, 256], size=units)
        normed = layer_norm_of_sums(sums, gain, bias, EPSILON)
        open_ = Open.of(normed, up, *normed.not_below(up, -GELU.straight))
        behind = few_units(normed, open_, up, down, GELU)
        assume(not np.isnan(behind.center + behind.error).any())
        _, written = written_in_float32(rng, rows, gain, bias, up, down)
        rows = rows + written.astype(F)
        known, sums = sums.known, Sums(sums.parts, behind)
        rounding = UNIT * sums.size + TINY
        error, box = behind.error + rounding, behind.box + rounding
        sums = Sums(sums.parts, replace(behind, error=error, box=box).tight())
        each = each - known + sums.known
        lost = 2.0**-48 * (np.abs(rows) + np.abs(each))
        assert (np.abs(rows - each) <= sums.error + lost).all()
    matrix = Matrix(boxes(rng, width, 5, most=3).center, boxes(rng, 1, 5).center[0])
    found, _ = layer_norm_of_sums(sums, gain, bias, EPSILON).read(matrix)
    assume(not np.isnan(found.center + found.error).any())
    normed = steps.layer_norm(rng, rows, gain, bias, EPSILON)
    assert_inside(steps.product(rng, normed, matrix.weight, matrix.bias), found)
