"""Heads that attend elsewhere for each fault of an engine, and for each length of its window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rotary_scores import eager_pattern, faulty_pattern, sdpa_pattern

from handcraft.dtype import BFLOAT16, FLOAT16, FLOAT32, DType
from handcraft.errors import PrecisionError
from handcraft.rotary.faults import FAULTS, Fault, FaultScore, fault_score
from handcraft.rotary.oldest import oldest_visible
from handcraft.rotary.rotation import Rotation

DTYPES = [FLOAT32, BFLOAT16, FLOAT16]
ROTATION = Rotation(64, 500_000.0, 33)
NATS = 104.0


@pytest.fixture(scope="module")
def found() -> FaultScore:
    return fault_score(ROTATION, DTYPES, NATS)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda each: each.name)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.name)
def test_each_fault_attends_to_its_own_token(fault: Fault, dtype: DType, found: FaultScore) -> None:
    pattern = faulty_pattern(found.score, ROTATION, dtype, fault)
    assert np.flatnonzero(pattern).tolist() == [32 - found.distances[fault.name]]
    assert pattern.max() == 1


def test_no_two_faults_have_the_same_token(found: FaultScore) -> None:
    assert len(set(found.distances.values())) == len(FAULTS) == 8
    assert found.distances["no-rope"] == 32
    assert found.score.gap >= NATS


def test_a_head_that_is_too_small_for_all_faults_is_refused_with_what_is_missing() -> None:
    with pytest.raises(PrecisionError) as refused:
        fault_score(replace(ROTATION, head_dim=32), [BFLOAT16], NATS)
    assert refused.value.what == (
        "with head_dim=32, theta=500000 and a prompt of 32 tokens a head leads by 0.0 nats under each "
        "fault in bfloat16, 104.0 less than the 104 that are needed"
    )
    assert refused.value.fix == "head_dim=64, theta=500000 and a prompt of 32 tokens are enough"


@pytest.mark.parametrize(
    ("rotation", "names"),
    [
        (replace(ROTATION, theta=10_000.0), "theta-10000"),
        (replace(ROTATION, positions=32), "no-rope, scaled-by-2"),
        (replace(ROTATION, positions=31), "scaled-by-2"),
    ],
)
def test_faults_that_a_prompt_cannot_tell_apart_are_named(rotation: Rotation, names: str) -> None:
    with pytest.raises(PrecisionError, match="do not tell apart") as refused:
        fault_score(rotation, [FLOAT32], NATS)
    assert refused.value.what.endswith(f"apart: {names}")


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda each: each.name)
@pytest.mark.parametrize("window", [1, 13, 16, 18, 20, 21, 22])
def test_the_oldest_token_that_is_seen_wins(window: int, dtype: DType) -> None:
    rotation = Rotation(64, 10_000.0, 22)
    score = oldest_visible(rotation, dtype, NATS)
    seen = replace(rotation, window=window)
    for pattern in (eager_pattern(score, seen, dtype), sdpa_pattern(score, seen, dtype)):
        rows, sources = np.nonzero(pattern)
        assert rows.tolist() == list(range(22))
        expected = [max(min(1, row), row - window + 1) for row in range(22)]
        assert sources.tolist() == expected


def test_a_text_too_long_for_equal_steps_is_refused_with_a_length_that_is_not() -> None:
    with pytest.raises(PrecisionError) as refused:
        oldest_visible(Rotation(64, 10_000.0, 33), BFLOAT16, NATS)
    assert refused.value.fix == "24 positions are few enough"
    assert oldest_visible(Rotation(64, 10_000.0, 24), BFLOAT16, NATS).gap >= NATS
