"""Heads that select by content: matches above the begin token, and that above all others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from rotary_scores import rope
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from handcraft.circuits import ByContent
from handcraft.dtype import BFLOAT16, FLOAT16, FLOAT32, DType
from handcraft.errors import CompileError, PrecisionError
from handcraft.rotary.rotation import Rotation
from handcraft.rotary.select import ContentScore, Picks, select

HALVES = [FLOAT32, BFLOAT16, FLOAT16]
NATS = 104.0

Reads = npt.NDArray[np.int64]


def pattern(
    score: ContentScore, rotation: Rotation, dtype: DType, query: Reads, key: Reads
) -> npt.NDArray[np.float32]:
    """The attention pattern of transformers, [destination, source].

    Args:
        score: the head.
        rotation: of its queries and keys.
        dtype: in which all is computed.
        query: what its channels read, 0 or 1, [destination, channel].
        key: 0 or -1, [source, channel]; of the begin token it is 0.
    """
    constants = np.ones((rotation.positions, score.constants))
    reads = np.concatenate([constants, query], axis=1)  # [destination, pair]
    queries = (np.array(score.queries, float).T[None] * reads[:, None]).reshape(len(reads), -1)
    of_text = np.concatenate([constants, key], axis=1) * np.array(score.keys, float)
    of_text[0] += np.array(score.begin, float)
    keys = np.concatenate([of_text, np.zeros_like(of_text)], axis=1)
    kind = getattr(torch, dtype.name)
    q, k = (torch.tensor(each).to(kind)[None, None] for each in (queries, keys))
    cos, sin = rope(rotation)(q, torch.arange(rotation.positions)[None])
    q, k = apply_rotary_pos_emb(q, k, cos, sin)
    scores: Any = (torch.matmul(q, k.transpose(2, 3)) * rotation.head_dim**-0.5)[0, 0]
    hidden = torch.triu(torch.ones(len(reads), len(reads), dtype=torch.bool), 1)
    scores = scores + torch.zeros_like(scores).masked_fill(hidden, torch.finfo(kind).min)
    found: npt.NDArray[np.float32] = torch.softmax(scores, dim=-1, dtype=torch.float32).numpy()
    return found


def wanted(picks: Picks, query: Reads, key: Reads) -> npt.NDArray[np.float64]:
    """The pattern of ideal circuits."""
    rows = np.zeros((len(query), len(query)))
    for here in range(len(query)):
        scores = query[here] @ key[: here + 1].T
        row = ByContent(picks).pattern(scores[None])[0]
        rows[here, : here + 1] = row / row.sum()
    return rows


@pytest.mark.parametrize("dtype", HALVES, ids=lambda each: each.name)
@pytest.mark.parametrize("picks", ["latest", "earliest"])
@pytest.mark.parametrize(
    ("channels", "rotation"),
    [(1, Rotation(8, 10_000.0, 9)), (3, Rotation(16, 10_000.0, 49)), (10, Rotation(64, 5e5, 13))],
    ids=str,
)
def test_attention_goes_to_one_match_or_the_begin_token(
    channels: int, rotation: Rotation, picks: Picks, dtype: DType
) -> None:
    score = select(picks, channels, rotation, dtype, NATS)
    random = np.random.default_rng(0)
    for density in (0.05, 0.5, 0.95):
        query = (random.random((rotation.positions, channels)) < 0.7).astype(int)
        key = -(random.random((rotation.positions, channels)) < density).astype(int)
        key[0] = 0
        found = pattern(score, rotation, dtype, query, key)
        np.testing.assert_array_equal(found, wanted(picks, query, key))


@pytest.mark.parametrize("dtype", HALVES, ids=lambda each: each.name)
def test_whether_any_matches_is_told_over_long_texts(dtype: DType) -> None:
    rotation = Rotation(64, 10_000.0, 513)
    score = select("any", 2, rotation, dtype, NATS)
    random = np.random.default_rng(0)
    query = np.ones((rotation.positions, 2), int)
    key = -(random.random((rotation.positions, 2)) < 0.95).astype(int)
    key[0] = 0
    found = pattern(score, rotation, dtype, query, key)[:, 0]
    np.testing.assert_array_equal(found, wanted("any", query, key)[:, 0])


def test_float32_tells_matches_of_1024_positions_apart() -> None:
    assert select("latest", 5, Rotation(64, 10_000.0, 1_025), FLOAT32, NATS).gap >= NATS


def test_the_same_numbers_come_out_twice() -> None:
    rotation = Rotation(16, 10_000.0, 33)
    one, other = (select("latest", 2, rotation, BFLOAT16, NATS) for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    ("channels", "rotation", "dtype"),
    [(3, Rotation(16, 10_000.0, 1_025), BFLOAT16), (9, Rotation(16, 10_000.0, 9), FLOAT32)],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_what_does(
    channels: int, rotation: Rotation, dtype: DType
) -> None:
    with pytest.raises(PrecisionError, match="than the 104 that are needed") as refused:
        select("latest", channels, rotation, dtype, NATS)
    advised = str(refused.value.fix).split("head_dim=")
    wider = replace(rotation, head_dim=int(advised[1].split()[0]))
    kind = FLOAT32 if "float32" in advised[0] else dtype
    assert select("latest", channels, wider, kind, NATS).gap >= NATS


def test_a_window_that_hides_the_begin_token_is_refused() -> None:
    rotation = Rotation(16, 10_000.0, 9, window=4)
    with pytest.raises(CompileError, match="begin token"):
        select("latest", 1, rotation, FLOAT32, NATS)
    assert select("latest", 1, replace(rotation, window=9), FLOAT32, NATS).gap >= NATS
