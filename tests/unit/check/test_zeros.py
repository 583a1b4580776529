"""What is exactly 0 is left out, and what is not a number stays none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_layers import EPSILON, seeds, shapes_of

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.folder.config import Config
from handcraft_check.layers.matrix import Matrix
from handcraft_check.layers.model import Model
from handcraft_check.layers.zeros import Heads, units_in_use


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_heads_without_zeros_compute_the_same(rng, heads, size):
    width = heads * size
    weight, bias = rng.normal(size=(width, 3 * width)), rng.normal(size=3 * width)
    nothing = rng.random(3 * width) < rng.choice([0.2, 0.8, 1])
    weight[:, nothing], bias[nothing] = 0, 0
    out = Matrix(rng.normal(size=(width, width)), rng.normal(size=width))
    found = Heads.of(Matrix(weight, bias), out, heads)
    x = rng.normal(size=(5, width))
    q, k, v = np.moveaxis((x @ weight + bias).reshape(5, 3, heads, size), 1, 0)
    matches = x @ found.matching.weight + found.matching.bias
    few_q, few_k = np.moveaxis(matches.reshape(5, 2, found.count, found.matched), 1, 0)
    few_v = (x @ found.moving.weight + found.moving.bias).reshape(5, found.count, found.moved)
    used = [h for h in range(heads) if not nothing.reshape(3, heads, size)[:, h].all()]
    assert found.count == len(used)
    scores = np.einsum("ihd,jhd->hij", q, k)
    assert np.allclose(scores[used], np.einsum("ihd,jhd->hij", few_q, few_k))
    read = np.einsum("hij,jhd->ihd", scores, v).reshape(5, -1) @ out.weight + out.bias
    few_read = np.einsum("hij,jhd->ihd", scores[used], few_v).reshape(5, -1)
    assert np.allclose(read, few_read @ found.out.weight + found.out.bias)


def test_heads_keep_their_widest_and_no_more():
    weight = np.zeros((6, 18))
    weight[0, [0, 6 + 1, 12, 13]] = 1  # head 0 has a query, a key elsewhere, and two values
    weight[0, [4, 6 + 4, 12 + 5]] = 1  # head 2 has a query with its key, and one value
    found = Heads.of(Matrix(weight, np.zeros(18)), Matrix(np.eye(6), np.zeros(6)), 3)
    assert (found.count, found.matched, found.moved) == (2, 2, 2)
    assert found.numbers.tolist() == [0, 2]
    assert found.terms.tolist() == [0, 1]
    assert found.write_sizes.tolist() == [[1, 1], [1, 0]]


def test_units_that_read_nothing_are_left_out_but_for_one():
    up, gate = Matrix(np.zeros((2, 4)), np.zeros(4)), Matrix(np.zeros((2, 4)), np.zeros(4))
    assert units_in_use(up).tolist() == [0]
    up.bias[2] = 1
    assert units_in_use(up).tolist() == [2]
    gate.weight[1, 3] = 1
    assert units_in_use(gate, up).tolist() == [2, 3]


@pytest.mark.parametrize("large", [1024.0, 1e20])
def test_what_overflows_in_front_of_heads_that_are_zero_is_known_no_more(large):
    config = Config(1, 1, 2, 4, 1, 1, EPSILON, scales_scores=True, scales_by_layer=False)
    tensors = {name: np.zeros(shape) for name, shape in shapes_of(config).items()}
    x = Stream.of(Bounded(np.array([[large, 0.0]]), np.zeros((1, 2))))
    found = Model(config, tensors).written(0, x, Bounded(np.zeros((1, 0, 0)), np.zeros((1, 0, 0))))
    assert np.isnan(found.center).any() == (large > 1e19)
