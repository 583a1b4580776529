"""Heads that look a fixed number of positions back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from rotary_scores import eager_pattern, eager_scores, sdpa_pattern

from handcraft.dtype import BFLOAT16, FLOAT16, FLOAT32, DType
from handcraft.errors import CompileError, PrecisionError
from handcraft.rotary.look_back import look_back, look_back_keys, smallest_head_dim
from handcraft.rotary.rotation import Rotation

HALVES = [FLOAT32, BFLOAT16, FLOAT16]
NATS = 104.0


def wanted(k: int, positions: int) -> npt.NDArray[np.float32]:
    """One-hot rows: the source k before, or the begin token at position 0."""
    pattern = np.zeros((positions, positions), np.float32)
    for destination in range(positions):
        source = destination - k if destination - k >= 1 else 0
        pattern[destination, source] = 1.0
    return pattern


@pytest.mark.parametrize("dtype", HALVES, ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("k", "rotation"),
    [
        (0, Rotation(16, 10_000.0, 257)),
        (1, Rotation(16, 10_000.0, 257)),
        (3, Rotation(64, 500_000.0, 513)),
        (1, Rotation(8, 10_000.0, 1_025)),
        (200, Rotation(32, 10_000.0, 300)),
        (70, Rotation(24, 10_000.0, 65)),
        (5, Rotation(16, 10_000.0, 100, window=20)),
    ],
    ids=str,
)
def test_attention_is_one_hot_at_every_position(k: int, rotation: Rotation, dtype: DType) -> None:
    score = look_back(k, rotation, dtype, NATS)
    expected = wanted(k, rotation.positions)
    if rotation.window is not None:
        rows = np.arange(rotation.window, rotation.positions)
        assert (expected[rows, rows - k] == 1).all()
    np.testing.assert_array_equal(eager_pattern(score, rotation, dtype), expected)
    np.testing.assert_array_equal(sdpa_pattern(score, rotation, dtype), expected)


def test_look_backs_share_their_keys() -> None:
    rotation = Rotation(16, 10_000.0, 129)
    keys = look_back_keys(rotation)
    for k in (0, 1, 7):
        score = look_back(k, rotation, BFLOAT16, NATS)
        assert (score.keys, score.begin) == (keys.text, keys.begin)


@pytest.mark.parametrize("dtype", HALVES, ids=lambda each: each.name)
def test_the_gap_is_less_than_the_one_in_torch(dtype: DType) -> None:
    rotation = Rotation(16, 10_000.0, 257)
    score = look_back(2, rotation, dtype, NATS)
    scores = eager_scores(score, rotation, dtype).double().numpy()
    ours = wanted(2, rotation.positions).astype(bool)
    for destination in range(1, rotation.positions):
        row = scores[destination, : destination + 1]
        others = row[~ours[destination, : destination + 1]]
        assert NATS <= score.gap <= row[ours[destination, : destination + 1]][0] - others.max()


@pytest.mark.parametrize("dtype", HALVES, ids=lambda each: each.name)
@pytest.mark.parametrize("k", [0, 1, 30])
def test_the_begin_token_before_the_text_is_not_far_below_0(k: int, dtype: DType) -> None:
    """In float16 a row of hidden scores is NaN if all of them are below the least number."""
    rotation = Rotation(16, 10_000.0, 257)
    _, begin = look_back(k, rotation, dtype, NATS).scores(rotation)
    assert begin[0] >= -4


def test_a_head_that_is_too_small_is_refused_with_what_is_missing() -> None:
    with pytest.raises(PrecisionError) as refused:
        look_back(10, Rotation(8, 10_000.0, 1_025), BFLOAT16, NATS)
    assert refused.value.what == (
        "a head that looks 10 back leads by 0.0 nats in bfloat16, 104.0 less than the 104 that are "
        "needed, with head_dim=8, theta=10000 and 1,025 positions"
    )
    assert refused.value.fix == "head_dim=16 is enough"
    assert refused.value.is_tight
    look_back(10, Rotation(16, 10_000.0, 1_025), BFLOAT16, NATS)


def test_a_gap_that_float16_overflows_is_refused() -> None:
    with pytest.raises(PrecisionError, match=r"leads by \d+\.\d nats in float16, \d+\.\d less than"):
        look_back(500, Rotation(8, 500_000.0, 8_193), FLOAT16, 2 * NATS)


def test_a_window_that_does_not_reach_is_refused() -> None:
    with pytest.raises(CompileError) as refused:
        look_back(8, Rotation(32, 10_000.0, 100, window=8), FLOAT32, NATS)
    assert refused.value.fix == "window=9 is enough"
    look_back(8, Rotation(32, 10_000.0, 100, window=9), FLOAT32, NATS)


def test_the_smallest_head_is_found() -> None:
    rotation = Rotation(128, 10_000.0, 1_025)
    assert smallest_head_dim([0, 1, 2], rotation, FLOAT32, NATS) == 4
    assert smallest_head_dim([0, 1, 10], rotation, BFLOAT16, NATS) == 16
    assert smallest_head_dim([0], Rotation(128, 10_000.0, 5), FLOAT32, NATS) == 2


def test_it_is_the_same_twice_and_in_the_numbers_of_the_dtype() -> None:
    rotation = Rotation(64, 10_000.0, 1_025)
    first = look_back(3, rotation, BFLOAT16, NATS)
    assert first == look_back(3, rotation, BFLOAT16, NATS)
    numbers = np.array([float(part) for pair in first.queries for part in pair])
    np.testing.assert_array_equal(numbers.astype(BFLOAT16.numpy).astype(float), numbers)
    assert (numbers * 4 % 1 == 0).all()
