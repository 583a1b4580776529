"""No layer in float32 leaves its bounds, in NumPy with sums in any order and in torch."""

from __future__ import annotations

import float32_steps as steps
import numpy as np
import pytest
from float32_steps import F, assert_inside, boxes, point
from hypothesis import given
from hypothesis import strategies as st
from random_layers import (
    EPSILON,
    functional,
    gains,
    matrix,
    norms,
    random_block,
    random_model,
    run,
    scores_of,
    seeds,
    to_torch,
    torch,
    widths,
)

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.layers.attention import Weights, head_output, softmax
from handcraft_check.layers.hidden_units import mlp, without_pairs
from handcraft_check.layers.layer_norm import layer_norm
from handcraft_check.layers.matrix import Matrix
from handcraft_check.layers.model import Model


@given(seeds, widths, st.booleans())
def test_layer_norm(rng, width, wide):
    x, (gain, bias) = boxes(rng, 3, width, wide=wide), gains(rng, width)
    found = layer_norm(Stream.of(x), gain, bias, EPSILON)
    assert_inside(found.center, Bounded(found.center, found.magnitude))
    for normed in norms(rng, point(rng, x), gain, bias):
        assert_inside(normed, Bounded(found.center, found.spread(np.eye(width))))
        assert_inside(normed, Bounded(np.zeros_like(normed, dtype=np.float64), found.magnitude))


@given(seeds, widths, st.booleans())
def test_a_product_behind_layer_norm(rng, width, wide):
    x, (gain, bias), reader = boxes(rng, 3, width, wide=wide), gains(rng, width), matrix(rng, width, 4)
    if width > 1 and rng.random() < 0.5:
        reader.weight[1] = -reader.weight[0]
    found, _ = layer_norm(Stream.of(x), gain, bias, EPSILON).read(reader)
    for normed in norms(rng, point(rng, x), gain, bias):
        assert_inside(steps.product(rng, normed, reader.weight, reader.bias), found)
        weight, add = to_torch(reader.weight, reader.bias)
        assert_inside(torch.addmm(add, *to_torch(normed), weight).numpy(), found)


@given(seeds, widths)
def test_a_product_of_weights_that_are_off(rng, width):
    used = matrix(rng, width, 3)
    part = rng.choice([2.0**-24, 2.0**-8, 0.5])
    apart, bias_apart = part * np.abs(used.weight), part * np.abs(used.bias)
    moved = (each * rng.choice([-1, 0, 1], size=each.shape) for each in (apart, bias_apart))
    center = (used.weight + next(moved), used.bias + next(moved))
    given = Matrix(*center, apart, bias_apart)
    x = boxes(rng, 2, width).center
    exact = x @ given.weight + given.bias
    found = given.product_error(np.abs(x), np.abs(exact))
    assert_inside(steps.product(rng, x, used.weight, used.bias), Bounded(exact, found))


def test_what_layer_norm_overflows_on_is_known_no_more():
    x = np.array([[1e20, -1e20, 0.0], [1024.0, -1024.0, 0.0]])
    with np.errstate(over="ignore"):
        rng = np.random.default_rng(0)
        assert not steps.layer_norm(rng, x.astype(F), np.ones(3), np.zeros(3), EPSILON)[0].any()
    found = layer_norm(Stream.of(Bounded(x, np.zeros_like(x))), np.ones(3), np.zeros(3), EPSILON)
    assert np.isnan(found.center[0]).all()
    assert np.isfinite(found.center[1]).all()


@given(seeds, widths, st.integers(1, 24), st.booleans())
def test_mlp(rng, width, units, wide):
    x, (gain, bias) = boxes(rng, 3, width, wide=wide), gains(rng, width)
    up, down = matrix(rng, width, units), matrix(rng, units, width)
    if rng.random() < 0.7:  # beyond the curved part of GELU
        up.bias[:] = rng.choice([-1, 1], size=units) * rng.choice([16, 256, 4096])
    if units > 1:  # a pair that cancels
        up.weight[:, 1], down.weight[1] = up.weight[:, 0], -down.weight[0]
    if rng.random() < 0.5:  # a unit that clears a dimension, errors included
        up.weight[:, 0], down.weight[0] = 0, 0
        up.weight[0, 0], up.bias[0], down.weight[0, 0] = (
            8,
            4096,
            -np.sqrt(x.center.var(axis=1).mean()) / 8,
        )
    found = mlp(layer_norm(Stream.of(x), gain, bias, EPSILON), up, down)
    true = point(rng, x)
    for normed in norms(rng, true, gain, bias):
        hidden = steps.gelu(steps.product(rng, normed, up.weight, up.bias))
        written = steps.product(rng, hidden, down.weight, down.bias)
        assert_inside(true.astype(np.float64) + written, found)
        weights = to_torch(up.bias, normed, up.weight)
        hidden = functional.gelu(torch.addmm(*weights), approximate="tanh")
        bias, weight = to_torch(down.bias, down.weight)
        assert_inside(true.astype(np.float64) + torch.addmm(bias, hidden, weight).numpy(), found)


def test_both_units_of_a_step_are_straight_for_nothing():
    up = Matrix(np.array([[8.0, 8, 8, 8, 2]]), np.array([40.0, 24, 8, -8, 0]))
    down = Matrix(np.array([[1.0], [-1], [1], [-1], [-1]]), np.zeros(1))
    is_on = np.tri(5, 5, -1, dtype=bool)[:, [0, 1, 2, 3, 4]]
    left = without_pairs(np.vstack([is_on, np.ones((1, 5), dtype=bool)]), up, down)
    assert left.sum(axis=1).tolist() == [0, 1, 0, 1, 0, 1]
    assert left[-1, 4]
    assert left[1, 0]
    assert left[3, 2]


@given(seeds, st.integers(1, 20))
def test_softmax(rng, sources):
    scores = scores_of(rng, 3, sources)
    found, true = softmax(scores), point(rng, scores)
    slack = found.error + found.common[:, None] * found.most + 2.0**-126
    for weights in (steps.softmax(rng, true), torch.softmax(*to_torch(true), dim=1).numpy()):
        assert_inside(weights, Bounded(found.center, slack))
        assert (weights <= found.most * (1 + found.common[:, None]) + 2.0**-126).all()
        is_certain = np.isfinite(found.rest)
        assert (weights.max(axis=1) == 1)[is_certain].all()
        assert (weights.sum(axis=1) - 1 <= found.rest + 1e-6)[is_certain].all()


@given(seeds, st.integers(2, 20), st.sampled_from([20, 100, 1000, 1e6]))
def test_softmax_of_scores_with_large_errors(rng, sources, size):
    """Also winners by more than that: exactly 1, whatever all scores together are off by."""
    error = size * rng.random((3, sources))
    center = rng.normal(size=(3, sources)) * size * rng.choice([0.1, 1, 10])
    scores = Bounded(center.astype(F).astype(np.float64), error)
    true = point(rng, scores)
    found = softmax(scores)
    slack = found.error + found.common[:, None] * found.most + 2.0**-126
    for weights in (steps.softmax(rng, true), torch.softmax(*to_torch(true), dim=1).numpy()):
        assert_inside(weights, Bounded(found.center, slack))
        assert (weights.max(axis=1) == 1)[np.isfinite(found.rest)].all()
    low, high = scores.center - error, scores.center + error
    top = low.argmax(axis=1)[:, None]
    second = np.where(np.arange(sources) == top, -np.inf, high).max(axis=1)
    wins = low.max(axis=1) - second > 25 + 1e-5 * size
    assert np.isfinite(found.rest)[wins].all()


def test_weights_of_scores_that_are_no_numbers_are_none():
    for center, error in (([np.nan, 0.0], [0.0, 0.0]), ([1.0, 0.0], [np.nan, 0.0])):
        found = softmax(Bounded(np.array([center]), np.array([error])))
        assert np.isnan(found.center + found.error).any()


@given(seeds, st.integers(1, 20), st.integers(1, 5))
def test_what_a_head_reads(rng, sources, width):
    scores, values = scores_of(rng, 1, sources), boxes(rng, sources, width)
    found = head_output(softmax(scores), Bounded(values.center[None], values.error[None]))
    true, read = point(rng, scores), point(rng, values)
    weights = steps.softmax(rng, true)
    assert_inside(steps.product(rng, weights, read, np.zeros(width)), found)
    rows, numbers = to_torch(true, read)
    assert_inside((torch.softmax(rows, dim=1) @ numbers).numpy(), found)


def test_sources_that_are_not_seen_weigh_nothing():
    found = softmax(Bounded(np.array([[3.0, -np.inf, 1.0]]), np.zeros((1, 3))))
    both = softmax(Bounded(np.array([[3.0, 1.0]]), np.zeros((1, 2))))
    assert found.most[0, 1] == found.error[0, 1] == 0
    assert np.allclose(found.center[0, [0, 2]], both.center[0], rtol=1e-12)
    assert isinstance(found, Weights)


@pytest.mark.parametrize("how", [0, 1])
@pytest.mark.parametrize("made", [random_model, random_block])
@given(seeds)
def test_a_whole_model(made, how, rng):
    config, tensors = made(rng)
    ids = rng.integers(0, config.vocab_size, size=int(rng.integers(1, 7)))
    assert_inside(run(rng, config, tensors, ids, how), Model(config, tensors).run(ids))
