"""Attention patterns of constant queries and keys, computed by transformers' own code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from handcraft.dtype import DType
from handcraft.rotary.faults import Fault
from handcraft.rotary.rotation import Rotation
from handcraft.rotary.score import RotaryScore

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
llama = pytest.importorskip("transformers.models.llama.modeling_llama")


def rope(rotation: Rotation) -> Any:
    """The module that makes cosines and sines."""
    config = transformers.LlamaConfig(
        hidden_size=rotation.head_dim,
        num_attention_heads=1,
        head_dim=rotation.head_dim,
        max_position_embeddings=rotation.positions,
        rope_parameters={"rope_type": "default", "rope_theta": rotation.theta},
    )
    return llama.LlamaRotaryEmbedding(config)


def rope_table(rotation: Rotation, dtype: Any, at: int) -> tuple[Any, Any]:
    """Cosines and sines at one position, [head_dim] each."""
    cosine, sine = rope(rotation)(torch.zeros(1, dtype=dtype), torch.tensor([[at]]))
    return cosine[0, 0], sine[0, 0]


def rotated(score: RotaryScore, rotation: Rotation, dtype: DType) -> tuple[Any, Any]:
    """Queries and keys of a text that is as long as the model allows, [1, 1, position, head_dim]."""
    query = np.array(score.queries, float).T.ravel()  # [head_dim]
    key = np.concatenate([np.array(score.keys, float), np.zeros(rotation.pairs)])
    begin = key + np.concatenate([np.array(score.begin, float), np.zeros(rotation.pairs)])
    keys = np.concatenate([[begin], np.tile(key, (rotation.positions - 1, 1))])
    torch_dtype = getattr(torch, dtype.name)
    queries = torch.tensor(np.tile(query, (rotation.positions, 1))).to(torch_dtype)[None, None]
    cos, sin = rope(rotation)(queries, torch.arange(rotation.positions)[None])
    rotated_queries, rotated_keys = llama.apply_rotary_pos_emb(
        queries, torch.tensor(keys).to(torch_dtype)[None, None], cos, sin
    )
    return rotated_queries, rotated_keys


def visible(rotation: Rotation) -> npt.NDArray[np.bool_]:
    """Which source each destination sees, [destination, source]."""
    distance = np.arange(rotation.positions)[:, None] - np.arange(rotation.positions)
    seen: npt.NDArray[np.bool_] = distance >= 0
    return seen if rotation.window is None else seen & (distance < rotation.window)


def eager_scores(score: RotaryScore, rotation: Rotation, dtype: DType) -> Any:
    """Scores in nats as eager attention computes them, [destination, source]."""
    queries, keys = rotated(score, rotation, dtype)
    return (torch.matmul(queries, keys.transpose(2, 3)) * rotation.head_dim**-0.5)[0, 0]


def eager_pattern(score: RotaryScore, rotation: Rotation, dtype: DType) -> npt.NDArray[np.float32]:
    """The attention pattern of eager attention, [destination, source]."""
    scores = eager_scores(score, rotation, dtype)
    hidden = torch.tensor(~visible(rotation))
    scores = scores + torch.zeros_like(scores).masked_fill(hidden, torch.finfo(scores.dtype).min)
    pattern: npt.NDArray[np.float32] = torch.softmax(scores, dim=-1, dtype=torch.float32).numpy()
    return pattern


def sdpa_pattern(score: RotaryScore, rotation: Rotation, dtype: DType) -> npt.NDArray[np.float32]:
    """The same by scaled_dot_product_attention: the values are one-hot, [destination, source]."""
    queries, keys = rotated(score, rotation, dtype)
    values = torch.eye(rotation.positions, dtype=keys.dtype)[None, None]
    mask = torch.tensor(visible(rotation))[None, None]
    output = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    pattern: npt.NDArray[np.float32] = output[0, 0].float().numpy()
    return pattern


def faulty_pattern(
    score: RotaryScore, rotation: Rotation, dtype: DType, fault: Fault
) -> npt.NDArray[np.float32]:
    """The last row of the attention pattern of an engine with a fault in how it rotates, [source]."""
    torch_dtype = getattr(torch, dtype.name)
    module = rope(rotation if fault.theta is None else replace(rotation, theta=fault.theta))
    module.inv_freq *= fault.factor
    query = torch.tensor(np.array(score.queries, float).T.ravel()).to(torch_dtype)[None]
    keys = torch.zeros(rotation.positions, rotation.head_dim)
    keys[:, : rotation.pairs] = torch.tensor(np.array(score.keys, float))
    keys[0, : rotation.pairs] += torch.tensor(np.array(score.begin, float))
    at = torch.arange(rotation.positions)[None]
    rotated = []
    for vectors, positions in ((query, at[:, -1:] + fault.late), (keys.to(torch_dtype), at)):
        cosine, sine = (table[0] for table in module(vectors, positions))
        if fault.is_adjacent:
            cosine, sine = (
                table[:, : rotation.pairs].repeat_interleave(2, 1) for table in (cosine, sine)
            )
            turned = torch.stack((-vectors[:, 1::2], vectors[:, 0::2]), -1).flatten(1)
        else:
            turned = llama.rotate_half(vectors)
        rotated.append(vectors * cosine + turned * sine)
    scores = torch.matmul(rotated[0], rotated[1].T) * rotation.head_dim**-0.5
    pattern: npt.NDArray[np.float32] = torch.softmax(scores, -1, dtype=torch.float32)[0].numpy()
    return pattern
