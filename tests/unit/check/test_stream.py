"""No row of the residual stream leaves what is known of it, by dimension and along directions."""

from __future__ import annotations

from fractions import Fraction

import float32_steps as steps
import numpy as np
import pytest
from drawn_streams import drawn_stream, in_float32
from float32_steps import F, assert_inside, boxes
from hypothesis import given
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Along, Directions, Readers, Stream, joined
from handcraft_check.by_cases.states import MANY_ROWS, WIDER, alike, coarsened_stream
from handcraft_check.layers.hidden_units import mlp
from handcraft_check.layers.layer_norm import layer_norm
from handcraft_check.layers.matrix import Matrix

torch = pytest.importorskip("torch")

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
EPSILON = float(F(1e-5))


@given(seeds, st.integers(1, 12))
def test_rows_that_differ_by_a_factor_share_a_direction(rng, units):
    weight = boxes(rng, units, 5, most=2).center
    for _ in range(3):  # multiples of earlier rows, by powers of two and by other numbers
        weight[rng.integers(units)] = weight[rng.integers(units)] * rng.choice([-1, 0.25, 3, 1 / 3])
    found = Directions.of(weight)
    for row, scale, alone in zip(weight, found.scale, found.alone, strict=True):
        if not scale.any():
            assert (alone == np.abs(row)).all()
            continue
        assert np.count_nonzero(scale) == 1
        along = scale.max() * found.rows[scale.argmax()]
        apart = min(np.abs(row - sign * along).max() for sign in (1, -1))
        assert apart <= 1e-11 * np.abs(row).max()
        factor = Fraction(row[row != 0][0]) / Fraction(found.rows[scale.argmax()][row != 0][0])
        assert Fraction(scale.max()) >= abs(factor)
        for number, of, left in zip(row, found.rows[scale.argmax()], alone, strict=True):
            assert abs(Fraction(number) - factor * Fraction(of)) <= Fraction(left)


def test_pairs_of_units_have_one_direction_and_single_writes_none():
    weight = np.array([[0.25, -0.25, 0], [-0.25, 0.25, 0], [0.5, -0.5, 0], [0, 0, 3], [0, 0, 0]])
    found = Directions.of(weight)
    assert found.rows.tolist() == [[0.25, -0.25, 0]]
    assert np.allclose(found.scale, [[1], [1], [2], [0], [0]])
    assert found.alone.tolist() == [[0, 0, 0]] * 3 + [[0, 0, 3], [0, 0, 0]]


@given(seeds, st.integers(1, 12))
def test_weighted_sums_of_a_stream(rng, width):
    stream, exact = drawn_stream(rng, 3, width)
    weight = boxes(rng, width, 4, most=2).center
    lost = 2.0**-50 * (np.abs(exact) + np.abs(stream.center))  # by float64, in what is compared
    off = np.abs((exact - stream.center) @ weight) * (1 - 1e-9) - lost @ np.abs(weight)
    assert (off <= stream.spread(Readers.of(weight, stream.along)) + 1e-300).all()
    own = boxes(rng, 3, width, most=2).center
    off = np.abs(((exact - stream.center) * own).sum(axis=1)) * (1 - 1e-9)
    off -= (lost * np.abs(own)).sum(axis=1)
    assert (off <= stream.spread_of_each(own) + 1e-300).all()


def test_who_reads_both_ends_of_a_direction_reads_no_error():
    stream = Stream(
        np.zeros((1, 2)),
        np.ones((1, 2)),
        np.zeros((1, 2)),
        np.ones((1, 1)),
        Along(np.array([[1.0, -1]])),
    )
    readers = Readers.of(np.array([[1.0, 1], [1, 0]]), stream.along)
    assert np.allclose(stream.spread(readers), [[0, 1]], atol=1e-9)


@given(seeds, st.integers(1, 16), st.booleans())
def test_layer_norm_of_a_stream(rng, width, large):
    stream, exact = drawn_stream(rng, 3, width, large=large)
    stream, rows = in_float32(rng, stream, exact)
    gain, bias = (boxes(rng, 1, width, most=3).center[0] for _ in range(2))
    reader = Matrix(boxes(rng, width, 4, most=2).center, boxes(rng, 1, 4).center[0])
    if width > 1 and rng.random() < 0.5:
        reader.weight[1] = reader.weight[0]
    normed = layer_norm(stream, gain, bias, EPSILON)
    found, _ = normed.read(reader)
    torched = torch.nn.functional.layer_norm(
        torch.from_numpy(rows),
        (width,),
        *(torch.from_numpy(w.astype(F)) for w in (gain, bias)),
        EPSILON,
    ).numpy()
    for each in (steps.layer_norm(rng, rows, gain, bias, EPSILON), torched):
        assert_inside(each, Bounded(normed.center, normed.spread(np.eye(width))))
        assert_inside(each, Bounded(np.zeros_like(normed.center), normed.magnitude))
        assert_inside(steps.product(rng, each, reader.weight, reader.bias), found)


@given(seeds, st.integers(2, 12), st.integers(1, 12))
def test_an_mlp_behind_a_stream(rng, width, units):
    stream, exact = drawn_stream(rng, 3, width, large=rng.random() < 0.3)
    stream, rows = in_float32(rng, stream, exact)
    gain, bias = (boxes(rng, 1, width, most=3).center[0] for _ in range(2))
    up = Matrix(boxes(rng, width, units, most=3).center, boxes(rng, 1, units).center[0])
    down = Matrix(boxes(rng, units, width, most=3).center, boxes(rng, 1, width).center[0])
    np.clip(up.weight, -64, 64, out=up.weight)
    np.clip(down.weight, -64, 64, out=down.weight)
    if rng.random() < 0.7:  # beyond the curved part of GELU
        up.bias[:] = rng.choice([-1, 1], size=units) * rng.choice([16, 256, 4096])
    if rng.random() < 0.5:  # a unit that clears the first direction, errors included
        up.weight[:, 0], up.bias[0] = 0, 4096
        up.weight[0, 0] = 8
        spread = np.sqrt(stream.center.var(axis=1).mean())
        down.weight[0] = stream.along.rows[0] * -spread / (8 * np.where(gain[0] == 0, 1, gain[0]))
        np.clip(down.weight, -512, 512, out=down.weight)
        down.weight[0] = down.weight[0].astype(F)
    found = mlp(layer_norm(stream, gain, bias, EPSILON), up, down)
    normed = steps.layer_norm(rng, rows, gain, bias, EPSILON)
    hidden = steps.gelu(steps.product(rng, normed, up.weight, up.bias))
    after = rows.astype(np.float64) + steps.product(rng, hidden, down.weight, down.bias)
    lost = 2.0**-50 * (np.abs(after) + np.abs(found.center))  # by float64
    assert_inside(after, Bounded(found.center, found.error + lost))
    weight = boxes(rng, width, 4, most=2).center
    weight[:, 0], weight[:, 1] = 1, stream.along.rows[0] - stream.along.rows[0].mean()
    inside = Bounded(
        found.center @ weight,
        found.spread(Readers.of(weight, found.along)) + 1e-11 * (np.abs(after) @ np.abs(weight)),
    )
    assert_inside(after @ weight, inside)
    kept = Stream(found.center, np.full_like(found.error, np.inf), found.box, found.radii, found.along)
    whole = Bounded(found.center, kept.box + kept.radii @ kept.along.size)
    assert_inside(after, Bounded(whole.center, whole.error * (1 + 1e-9) + lost))


@given(seeds, st.integers(1, 12))
def test_a_coarser_stream_contains_the_finer(rng, width):
    stream, exact = drawn_stream(rng, 3, width)
    found = coarsened_stream(stream)
    assert_inside(exact, Bounded(found.center, found.error * (1 + 1e-12)))
    assert (found.radii >= stream.radii).all()
    assert (found.radii <= stream.radii * 1.2 + 2.0**-40).all()
    moved = np.abs(found.center - stream.center)
    common = stream.radii @ stream.along.size
    assert ((found.box >= stream.box + moved) | (common == 0)).all()
    assert (found.error[stream.error == 0] == 0).all()


@given(seeds, st.integers(1, 8), st.sampled_from([0.0, 0.3, 1.0, 8.0]))
def test_rows_that_are_alike_are_held_by_one(rng, width, apart):
    first, _ = drawn_stream(rng, 3, width)
    which = rng.integers(3, size=2 * MANY_ROWS)
    shift = apart * first.error[which] * rng.choice([-1, 0, 1, 0.5], size=(len(which), width))
    center, box, radii = first.center[which] + shift, first.box[which], first.radii[which]
    box = box * rng.choice([1, 0.5], size=box.shape)
    error = (box + radii @ first.along.size) * (1 + 1e-12)
    rows = Stream(center, error, box, radii, first.along)
    found, kinds = alike(rows)
    holding = found[kinds]
    moved = (radii * rng.choice([-1, 0, 1, 0.3], size=radii.shape)) @ first.along.rows
    exact = center + moved + box * rng.choice([-1, 0, 1], size=box.shape)
    slack = 1e-12 * (1 + np.abs(center) + error)
    assert (np.abs(exact - holding.center) <= holding.error + slack).all()
    assert (np.abs(exact - moved - holding.center) <= holding.box + slack).all()
    assert (holding.radii >= radii).all()
    assert (holding.error <= WIDER * error + slack).all()
    assert (holding.error[error == 0] == 0).all()


def test_rows_that_differ_by_what_is_rounded_are_one():
    rng = np.random.default_rng(0)
    which, none = rng.integers(3, size=4 * MANY_ROWS), np.zeros((4 * MANY_ROWS, 0))
    center = np.array([[1.0, 0, -1], [0, 1, -1], [2, 0.5, 0]])[which]
    error = np.full_like(center, 2.0**-17)
    rows = Stream(
        center + 2.0**-18 * rng.random(center.shape), error, error, none, Along(np.zeros((0, 3)))
    )
    found, kinds = alike(rows)
    assert len(found.center) == 3
    assert len(set(zip(which.tolist(), kinds.tolist(), strict=True))) == 3
    assert len(alike(rows[: MANY_ROWS - 1])[0].center) == MANY_ROWS - 1


def test_joined_rows():
    rng = np.random.default_rng(0)
    stream, _ = drawn_stream(rng, 3, 4)
    found = joined([stream[:1], stream[1:]])
    assert all((a == b).all() for a, b in zip(found.columns, stream.columns, strict=True))
    assert found.along is stream.along
