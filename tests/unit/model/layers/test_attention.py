"""Attention patterns: masked, and of padded texts."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft.errors import ModelError
from handcraft.model import attend, causal_mask, masked_softmax, softmax, valid_positions


@pytest.fixture
def random():
    return np.random.default_rng(3)


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


def test_a_mask_that_does_not_fit_is_refused_with_both_shapes():
    with pytest.raises(ModelError) as caught:
        masked_softmax(np.zeros((4, 3)), np.zeros((3, 3), dtype=bool))
    assert caught.value.what == "a mask of shape (3, 3) over scores of shape (4, 3)"
    assert caught.value.fix


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_padded_text_with_its_length_is_the_text_alone(random, side, causal, dtype):
    lengths = (5, 3, 1)
    heads = [random.normal(size=(3, length, 4)).astype(dtype) for length in lengths]  # q, k, v
    batch = random.normal(size=(3, 3, 5, 4)).astype(dtype)  # q, k, v of each text
    valid = valid_positions(lengths, 5)[:, :: 1 if side == "right" else -1]
    for row, parts in enumerate(heads):
        batch[:, row, valid[row]] = parts
    together = attend(*batch, scale=0.5, causal=causal, valid=valid)
    assert {value.dtype for value in together} == {np.dtype(dtype)}
    for row, parts in enumerate(heads):
        _, _, alone = attend(*parts, scale=0.5, causal=causal)
        np.testing.assert_allclose(together[2][row, valid[row]], alone, rtol=1e-5)


def test_padding_on_the_left_sees_nothing_and_stays_zero(random):
    valid = valid_positions([2], 4)[:, ::-1]
    _, pattern, out = attend(*random.normal(size=(3, 1, 4, 3)), scale=1, causal=True, valid=valid)
    assert (pattern[0, :2] == 0).all()
    assert (out[0, :2] == 0).all()
