"""No attention score leaves its bounds, and none its differences from others of its query."""

from __future__ import annotations

import float32_steps as steps
import numpy as np
import pytest
from float32_steps import F, assert_inside, boxes, point
from hypothesis import given
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_cases.states import coarsened, hull
from handcraft_check.layers.attention import softmax
from handcraft_check.layers.layer_norm import layer_norm
from handcraft_check.layers.matrix import Matrix
from handcraft_check.layers.scores import COMMON, Matching, scaled

torch = pytest.importorskip("torch")

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
EPSILON = float(F(1e-5))


def drawn_matching(rng, width, heads, size):
    """Queries and keys behind a LayerNorm, and its gain and bias."""
    gain, bias = (boxes(rng, 1, width, most=3).center[0] for _ in range(2))
    weight = np.clip(boxes(rng, width, 2 * heads * size, most=6).center, -64, 64)
    if rng.random() < 0.5:  # dimensions that are read together
        weight[:, 0] = -weight[:, -1]
    matrix = Matrix(weight, boxes(rng, 1, 2 * heads * size, most=4).center[0])
    return Matching.of(matrix, heads, np.full(heads, float(size)), gain, bias), gain, bias


@given(seeds, st.integers(1, 12), st.integers(1, 2), st.integers(1, 4), st.booleans())
def test_scores_of_rows(rng, width, heads, size, wide):
    matching, gain, bias = drawn_matching(rng, width, heads, size)
    x = boxes(rng, int(rng.integers(1, 6)), width, wide=wide)
    normed = layer_norm(Stream.of(x), gain, bias, EPSILON)
    queries, keys = matching.read(normed)
    if rng.random() < 0.5:  # as they are stored
        keys = coarsened(keys, 32)
    some = rng.integers(len(x.center), size=2)
    if rng.random() < 0.3:  # one of several
        both = hull(keys[some])
        keys.center[some[0]], keys.error[some[0]] = both.center, both.error
    rows = point(rng, x)
    read = steps.layer_norm(rng, rows, gain, bias, EPSILON)
    matrix = matching.matrix
    qk = steps.product(rng, read, matrix.weight, matrix.bias).reshape(-1, 2, heads, size)
    if rng.random() < 0.3:  # another of several
        qk[some[0], 1] = qk[some[1], 1]
        both = hull(matching.read(normed)[1][some])
        keys.center[some[0]], keys.error[some[0]] = both.center, both.error
    last = Bounded(queries.center[-1:], queries.error[-1:])
    factor = 1 / np.sqrt(size)
    around = keys.center[rng.integers(len(rows))][None]
    if rng.random() < 0.2:
        around = boxes(rng, 1, around[0].size).center.reshape(around.shape)
    for head in range(heads):
        far, near = (
            scaled(*matching.dot(last[:, head], keys[:, head], head, at), factor)
            for at in (None, around[:, head])
        )
        true = steps.product(rng, qk[-1:, 0, head], qk[:, 1, head].T, np.zeros(len(rows)))
        true = (true * F(factor)).astype(F)
        assert_inside(true[0], far)
        found = softmax(Bounded(near.center[None], near.error[None]))
        slack = found.error + found.common[:, None] * found.most + 2.0**-126
        torched = torch.softmax(torch.from_numpy(true), dim=1).numpy()
        for weights in (steps.softmax(rng, true), torched):
            assert_inside(weights, Bounded(found.center, slack))


@given(seeds, st.integers(1, 4), st.integers(1, 6))
def test_products_of_moved_queries_and_keys(rng, size, sources):
    """Of all that a query and its keys may be, exactly: by mean, by scale and each dimension."""
    matching, *_ = drawn_matching(rng, 3, 1, size)
    query, keys = boxes(rng, 1, size + COMMON, most=3), boxes(rng, sources, size + COMMON, most=3)
    for each in (query, keys):
        each.center[:, -COMMON:] = 0
        each.error[:, -COMMON:] *= rng.choice([0, 1, 4], size=each.error[:, -COMMON:].shape)

    def moved(x, part):
        s, t, e = (rng.choice([-1, 0, 1, 0.3], size=x.error.shape) * x.error for _ in range(3))
        found = x.center[:, :-COMMON] + s[:, -2:-1] * matching.mean[part, 0]
        found = found + t[:, -1:] * (x.center[:, :-COMMON] - matching.fixed[part, 0])
        return found + e[:, :-COMMON], found - x.center[:, :-COMMON] + e[:, :-COMMON]

    (q, off), (k, _) = moved(query, 0), moved(keys, 1)
    around = keys.center[[rng.integers(sources)]]
    far, largest = matching.dot(query, keys, 0)
    near, _ = matching.dot(query, keys, 0, around)
    exact = (q * k).sum(axis=1)
    assert_inside(exact, Bounded(far.center, far.error * (1 + 1e-12)))
    assert (np.abs(exact) <= largest * (1 + 1e-12)).all()
    common = (off * around[:, :-COMMON]).sum()
    slack = 1e-12 * np.abs(common)
    assert_inside(exact - common, Bounded(near.center, near.error * (1 + 1e-12) + slack))


def test_a_mean_that_the_query_does_not_read_moves_no_score():
    weight = np.zeros((3, 4))
    weight[:2, 2], weight[:2, 3] = [1, 2], [-1, -2]
    matrix = Matrix(weight, np.array([5.0, 5, 0, 0]))
    matching = Matching.of(matrix, 1, np.array([2.0]), np.full(3, 7.0), np.zeros(3))
    query = Bounded(np.array([[5.0, 5, 0, 0]]), np.zeros((1, 4)))
    key = Bounded(np.array([[1.0, -1, 0, 0]]), np.array([[0, 0, 0.5, 0]]))
    found, _ = matching.dot(query, key, 0)
    assert found.error[0] < 1e-3
    assert matching.mean[1, 0].tolist() == [21, -21]


def test_a_scale_moves_a_score_by_a_part_of_itself():
    matrix = Matrix(np.ones((1, 4)), np.zeros(4))
    matching = Matching.of(matrix, 1, np.array([2.0]), np.ones(1), np.zeros(1))
    query = Bounded(np.array([[1000.0, -1000, 0, 0]]), np.zeros((1, 4)))
    key = Bounded(np.array([[1000.0, 999, 0, 0]]), np.array([[0, 0, 0, 0.01]]))
    found, _ = matching.dot(query, key, 0)
    assert found.center[0] == 1000
    assert 10 <= found.error[0] < 11


def test_scores_that_a_query_moves_together_stay_apart():
    matrix = Matrix(np.zeros((1, 4)), np.zeros(4))
    matching = Matching.of(matrix, 1, np.array([2.0]), np.ones(1), np.zeros(1))
    query = Bounded(np.array([[100.0, 100, 0, 0]]), np.array([[8.0, 0, 0, 0]]))
    keys = Bounded(np.array([[50.0, 1, 0, 0], [50, 2, 0, 0]]), np.zeros((2, 4)))
    far, near = (matching.dot(query, keys, 0, c)[0] for c in (None, keys.center[:1]))
    assert (far.error > 200).all()
    assert (near.error < 1).all()
