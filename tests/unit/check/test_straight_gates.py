"""What gated units of a step write stays in its bounds, in which errors of what they read cancel."""

from __future__ import annotations

import float32_steps as steps
import numpy as np
from drawn_streams import drawn_stream, in_float32
from float32_steps import F, assert_inside, boxes
from hypothesis import given
from hypothesis import strategies as st
from random_layers import functional, seeds, torch

from handcraft_check.arithmetic.regime import REGIMES
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Along, Readers, Stream
from handcraft_check.layers.gated_units import gated_mlp
from handcraft_check.layers.matrix import Matrix
from handcraft_check.layers.rms_norm import rms_norm
from handcraft_check.layers.straight_gates import STRAIGHT_FROM, STRAIGHT_UNITS, Read, passed

EPSILON = float(F(1e-6))


def drawn_units(rng, width, pairs, constant):
    """Gates, other sums and writes of steps: pairs of units that read the same and write the opposite.

    The first dimension of a stream is a constant; gates read it, so that most of them are straight.
    """
    gate, up = (np.clip(boxes(rng, width, 2 * pairs, most=3).center, -64, 64) for _ in range(2))
    down = np.clip(boxes(rng, 2 * pairs, width, most=3).center, -64, 64)
    gate[:, 1::2], up[:, 1::2], down[1::2] = gate[:, ::2], up[:, ::2], -down[::2]
    levels = rng.choice([-300, 40, 300, 4096], size=pairs)
    gate[0, ::2], gate[0, 1::2] = levels / constant, (levels - rng.choice([0, 8, 100])) / constant
    if rng.random() < 0.7:  # the other sum is a constant too
        up[1:] = 0
        up[0] = rng.choice([0.125, 1, 0.3], size=pairs).repeat(2)
    if rng.random() < 0.3:
        down[-1] *= 0.5
    return (
        Matrix(each.astype(F).astype(np.float64), np.zeros(each.shape[1])) for each in (gate, up, down)
    )


@given(seeds, st.integers(2, 12), st.integers(1, 8), st.integers(1, 5))
def test_steps_of_gated_units(rng, width, pairs, count):
    stream, exact = drawn_stream(rng, count, width, large=rng.random() < 0.3)
    constant = float(rng.choice([1, 8, 100]))
    known = np.zeros(width, dtype=bool)
    known[0] = True
    if rng.random() < 0.5:  # nothing writes to the constant
        along = Along(np.where(known, 0.0, stream.along.rows))
        error, box = (np.where(known, 0.0, each) for each in (stream.error, stream.box))
        center = np.where(known, constant, stream.center)
        exact = np.where(known, constant, exact)
        stream = Stream(center, error, box, stream.radii, along)
    stream, rows = in_float32(rng, stream, exact)
    gain = 2.0 ** rng.integers(-2, 3, size=width)
    gate, up, down = drawn_units(rng, width, pairs, constant)
    regime = REGIMES["tf32" if rng.random() < 0.2 else "float32"]
    normed = rms_norm(stream, gain, EPSILON).in_use(regime, np.zeros(width), np.zeros(width))
    found = gated_mlp(normed, gate, up, down, regime)
    square = steps.summed(rng, np.square(rows).T) / F(width)
    read = rows * (F(1) / np.sqrt(square + F(EPSILON)))[:, None] * gain.astype(F)
    opening = steps.product(rng, read, gate.weight, gate.bias)
    with np.errstate(over="ignore"):
        ways = [
            functional.silu(torch.from_numpy(opening)).numpy(),
            opening * (F(1) / (F(1) + np.exp(-opening))),
        ]
    other = steps.product(rng, read, up.weight, up.bias)
    for opened in ways:
        hidden = opened * other
        after = rows.astype(np.float64) + steps.product(rng, hidden, down.weight, down.bias)
        assert_holds_of_sums(rng, after, found)


def assert_holds_of_sums(rng, after, found):
    """The rows are inside, and so are weighted sums of them, also where only directions are used."""
    lost = 2.0**-50 * (np.abs(after) + np.abs(found.center))  # by float64
    assert_inside(after, Bounded(found.center, found.error + lost))
    weight = boxes(rng, after.shape[1], 4, most=2).center
    weight[:, 0] = 1
    readers = Readers.of(weight, found.along)
    size = 1e-11 * (np.abs(after) @ np.abs(weight))
    assert_inside(after @ weight, Bounded(found.center @ weight, found.spread(readers) + size))
    apart = found.box @ readers.size + found.radii @ readers.along
    assert_inside(after @ weight, Bounded(found.center @ weight, apart * (1 + 1e-9) + size))


@given(seeds, st.integers(2, 6), st.integers(1, 3), st.integers(1, 3))
def test_exact_products_of_sums(rng, width, units, count):
    """But for rounding, which would hide errors of second order and those of the scale."""
    rows = np.rint(rng.normal(size=(1, width)) * 2)
    center = np.rint(rng.normal(size=(count, width)) * 4) + 0.5
    radii = np.full((count, 1), 2.0 ** rng.integers(-12, -5))
    box = np.where(rng.random((count, width)) < 0.3, 2.0**-9, 0.0)
    if rng.random() < 0.5:
        rows = np.rint(center[:1] * 2)  # which moves the scale as much as the row
    else:  # the scale is nearly known, and errors are large
        center[:, 0], rows[:, 0], box = 4096, 0, 0 * box
        radii *= 32
    stream = Stream(center, box + radii * np.abs(rows), box, radii, Along(rows)).tight()
    gate, up = (np.rint(rng.normal(size=(width, units)) * 2) for _ in range(2))
    down = np.rint(rng.normal(size=(units, width)) * 2)
    if units == 2:
        down[1], gate[1:, 1], up[:, 1] = -down[0], gate[1:, 0], up[:, 0]
    gate, up, down = (Matrix(each, np.zeros(each.shape[1])) for each in (gate, up, down))
    normed = rms_norm(stream, np.ones(width), EPSILON)
    sums = Read.of(normed, gate), Read.of(normed, up)
    found, own = passed(normed, *sums, down)
    for sign in (-1, 1):
        for other in (-1, 1):
            exact = center + sign * radii * rows + other * box
            read = exact / np.sqrt(np.square(exact).mean(axis=1) + EPSILON)[:, None]
            after = exact + ((read @ gate.weight) * (read @ up.weight)) @ down.weight
            written = (sums[0].sum.center * sums[1].sum.center) @ down.weight
            assert_inside(after - written, Bounded(found.center, found.error + own @ down.magnitude))
            apart = found.box + found.radii @ found.along.size + own @ down.magnitude
            assert_inside(after - written, Bounded(found.center, apart + 1e-12))


def test_an_open_gate_is_its_argument():
    x = np.concatenate([np.linspace(STRAIGHT_FROM, 40, 10_001), np.linspace(40, 1e6, 1001)]).astype(F)
    for opened in (
        functional.silu(torch.from_numpy(x)).numpy(),
        x / (F(1) + np.exp(-x)),
        x * (F(1) / (F(1) + np.exp(-x))),
    ):
        assert (np.abs(opened.astype(np.float64) - x) <= STRAIGHT_UNITS * 2.0**-24 * x).all()
        assert (opened == x).all()  # where a quotient of 1 is exact


def test_what_both_units_of_a_step_read_cancels():
    center, error = np.array([[8.0, 1, 0]]), np.array([[0, 2.0**-8, 0]])
    fill = np.sqrt(3 * 64 - 65)
    center[0, 2] = fill
    x = Stream.of(Bounded(center, error))
    gate = Matrix(np.array([[32.0, 16], [3840, 3840], [0, 0]]), np.zeros(2))
    up = Matrix(np.array([[0.125, 0.125], [0, 0], [0, 0]]), np.zeros(2))
    down = Matrix(np.array([[0, 0, 2.0**-7], [0, 0, -(2.0**-7)]]), np.zeros(3))
    found = gated_mlp(rms_norm(x, np.full(3, 8.0), EPSILON), gate, up, down)
    assert abs(found.center[0, 2] - fill - 1) < 1e-5
    assert found.error[0, 2] < 1e-3  # each unit alone may be off by 15 / 128
