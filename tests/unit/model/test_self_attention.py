"""Self-attention from inputs and matrices, several heads, and padded batches."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft.errors import ModelError
from handcraft.model import attend, causal_mask, masked_softmax, softmax
from handcraft.model.self_attention import (
    attend_split,
    attend_stacked,
    position_ids,
    self_attend,
    valid_positions,
)


def matrices(random, d_in, d_k, d_v):
    return tuple(random.normal(size=(d_in, d)) for d in (d_k, d_k, d_v))


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.mark.parametrize("causal", [False, True])
def test_a_head_is_attend_on_its_projections(random, causal):
    x = random.normal(size=(2, 5, 4))
    w_q, w_k, w_v = matrices(random, 4, 3, 2)
    expected = attend(x @ w_q, x @ w_k, x @ w_v, scale=1 / np.sqrt(3), causal=causal)
    for mine, theirs in zip(self_attend(x, w_q, w_k, w_v, causal=causal), expected, strict=True):
        np.testing.assert_allclose(mine, theirs)


@pytest.mark.parametrize("causal", [False, True])
def test_all_positions_valid_is_the_same_as_not_saying(random, causal):
    x, head = random.normal(size=(2, 5, 4)), matrices(random, 4, 3, 2)
    said = self_attend(x, *head, causal=causal, valid=np.ones((2, 5), dtype=bool))
    for one, other in zip(said, self_attend(x, *head, causal=causal), strict=True):
        np.testing.assert_allclose(one, other)


def test_integers_are_scaled_like_floats():
    x = np.array([[1, 0], [2, 1], [0, 3]])
    head = (np.eye(2, dtype=int), np.eye(2, dtype=int), np.eye(2, dtype=int))
    for one, other in zip(
        self_attend(x, *head, causal=True),
        self_attend(x.astype(float), *head, causal=True),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    both = (head, head)
    wide = [np.hstack(pair) for pair in zip(*both, strict=True)]
    split = attend_split(x[None], *wide, n_head=2)[0]
    np.testing.assert_allclose(split, attend_stacked(x.astype(float), both))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays(random, dtype):
    x = random.normal(size=(2, 4, 3)).astype(dtype)
    head = tuple(w.astype(dtype) for w in matrices(random, 3, 2, 2))
    valid = valid_positions([4, 2], 4, side="left")
    for value in self_attend(x, *head, causal=True, valid=valid):
        assert value.dtype == dtype


def test_a_mask_gives_exact_zeros_and_rows_that_sum_to_1(random):
    scores = random.normal(size=(3, 4, 4)) * 1000
    pattern = masked_softmax(scores, causal_mask(4, 4))
    assert (pattern[:, causal_mask(4, 4)] == 0).all()
    np.testing.assert_allclose(pattern.sum(axis=-1), 1)


def test_a_mask_of_nothing_is_softmax(random):
    scores = random.normal(size=(4, 4))
    np.testing.assert_array_equal(masked_softmax(scores, np.zeros((4, 4), dtype=bool)), softmax(scores))


def test_a_row_that_sees_nothing_is_zeros():
    hidden = np.array([[True, True], [True, False]])
    pattern = masked_softmax(np.array([[1.0, 2.0], [3.0, 4.0]]), hidden)
    np.testing.assert_array_equal(pattern, [[0, 0], [0, 1]])


def test_a_mask_changes_no_score(random):
    scores = random.normal(size=(4, 4))
    before = scores.copy()
    masked_softmax(scores, causal_mask(4, 4))
    np.testing.assert_array_equal(scores, before)


def test_integer_scores_are_masked_like_floats():
    scores = np.array([[1, 5], [2, 2]])
    np.testing.assert_array_equal(masked_softmax(scores, causal_mask(2, 2)), [[1, 0], [0.5, 0.5]])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n_head", [1, 2, 3])
def test_heads_side_by_side_equal_one_split_projection(random, n_head, causal):
    x = random.normal(size=(2, 5, 4))
    heads = [matrices(random, 4, 3, 2) for _ in range(n_head)]
    w_q, w_k, w_v = (np.hstack(parts) for parts in zip(*heads, strict=True))
    stacked = attend_stacked(x, heads, causal=causal)
    assert stacked.shape == (2, 5, 2 * n_head)
    split = attend_split(x, w_q, w_k, w_v, n_head=n_head, causal=causal)
    np.testing.assert_allclose(split, stacked, rtol=1e-12, atol=1e-12)


def test_right_padding_changes_no_token_under_a_causal_mask(random):
    text, head = random.normal(size=(3, 4)), matrices(random, 4, 3, 2)
    padded = np.vstack([text, np.full((2, 4), 1e3)])
    alone = self_attend(text, *head, causal=True)[2]
    np.testing.assert_allclose(self_attend(padded, *head, causal=True)[2][:3], alone)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_padded_text_with_its_length_is_the_text_alone(random, side, causal):
    lengths, head = (5, 3, 1), matrices(random, 4, 3, 2)
    texts = [random.normal(size=(length, 4)) for length in lengths]
    batch = random.normal(size=(3, 5, 4))
    valid = valid_positions(lengths, 5, side=side)
    for row, text in enumerate(texts):
        batch[row, valid[row]] = text
    out = self_attend(batch, *head, causal=causal, valid=valid)[2]
    for row, text in enumerate(texts):
        np.testing.assert_allclose(out[row, valid[row]], self_attend(text, *head, causal=causal)[2])


def test_left_padding_without_a_mask_changes_the_text(random):
    text, head = random.normal(size=(3, 4)), matrices(random, 4, 3, 2)
    padded = np.vstack([np.zeros((2, 4)), text])
    alone = self_attend(text, *head, causal=True)[2]
    assert not np.allclose(self_attend(padded, *head, causal=True)[2][2:], alone)


def test_padding_on_the_left_sees_nothing_and_stays_zero(random):
    head = matrices(random, 4, 3, 2)
    valid = valid_positions([2], 4, side="left")
    _, pattern, out = self_attend(random.normal(size=(1, 4, 4)), *head, causal=True, valid=valid)
    assert (pattern[0, :2] == 0).all()
    assert (out[0, :2] == 0).all()


def test_valid_positions_by_side():
    right = valid_positions([3, 0, 1], 3)
    np.testing.assert_array_equal(right, [[1, 1, 1], [0, 0, 0], [1, 0, 0]])
    left = valid_positions([3, 0, 1], 3, side="left")
    np.testing.assert_array_equal(left, [[1, 1, 1], [0, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("side", ["right", "left"])
def test_tokens_are_counted_from_0_wherever_the_padding_stands(side):
    lengths = [4, 2, 1]
    valid = valid_positions(lengths, 4, side=side)
    ids = position_ids(valid)
    for row, length in enumerate(lengths):
        assert ids[row, valid[row]].tolist() == list(range(length))
    assert ids.min() == 0


X = np.zeros((4, 3))
SQUARE = np.eye(3)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (
            lambda: self_attend(X, np.zeros((2, 3)), SQUARE, SQUARE),
            "x has the shape (4, 3), and W_q, W_k, W_v have (2, 3), (3, 3), (3, 3)",
        ),
        (
            lambda: self_attend(X, SQUARE, SQUARE, np.zeros(3)),
            "x has the shape (4, 3), and W_q, W_k, W_v have (3, 3), (3, 3), (3,)",
        ),
        (lambda: self_attend(X, SQUARE, np.zeros((3, 2)), SQUARE), "queries are 3 wide and keys 2"),
        (
            lambda: self_attend(X, SQUARE, SQUARE, SQUARE, valid=np.ones(5, dtype=bool)),
            "valid has the shape (5,), and x has (4, 3)",
        ),
        (lambda: attend_stacked(X, []), "no head"),
        (lambda: attend_split(X, SQUARE, SQUARE, SQUARE, n_head=1), "x has the shape (4, 3)"),
        (
            lambda: attend_split(X[None], SQUARE, SQUARE, SQUARE, n_head=2),
            "2 heads in projections 3 and 3 wide",
        ),
        (
            lambda: attend_split(X[None], SQUARE, SQUARE, SQUARE, n_head=0),
            "0 heads in projections 3 and 3 wide",
        ),
        (
            lambda: masked_softmax(X, np.zeros((3, 3), dtype=bool)),
            "a mask of shape (3, 3) over scores of shape (4, 3)",
        ),
        (lambda: valid_positions([2, 5], 4), "texts of [2, 5] tokens, padded to 4 positions"),
        (lambda: valid_positions([-1], 4), "texts of [-1] tokens, padded to 4 positions"),
        (lambda: valid_positions([1], 4, side="top"), "padding on the side 'top'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(call, what):
    with pytest.raises(ModelError) as caught:
        call()
    assert caught.value.what == what
    assert caught.value.fix
