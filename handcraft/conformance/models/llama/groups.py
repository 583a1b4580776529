"""Groups: which query head reads which key and value head.

Query head 1 belongs to key and value head 0. Key head 0 finds token ``p`` and key head 1 token ``r``;
value head 0 tells them apart in one pair of channels and value head 1 in another. So the answer says
which keys and which values query head 1 had: ``ok``, ``keys-tiled``, ``values-tiled`` or
``both-tiled``, where tiled means that heads are dealt out in turn.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft.architecture import LLAMA
from handcraft.conformance.layout.plain_stream import PlainStream, lay_group, lay_head
from handcraft.conformance.layout.stream import Draft
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.model import Shape
from handcraft.vocabulary import Vocabulary

ANSWERS = ("ok", "keys-tiled", "values-tiled", "both-tiled")
TOKENS = ("p", "r", "x")
SIZES = ((4, 2), (8, 4), (8, 2))
"""Query heads, and key and value heads."""

HEAD_DIM = 16
SLOWEST = HEAD_DIM // 2 - 1
"""The pair that is rotated least: 1e-5 radians over the positions of a prompt, with theta 1e7."""


def groups(heads: int, kv_heads: int) -> Diagnostic:
    """The model with so many heads: width 32, one block."""
    stream = PlainStream({"token": 3, "constant": 1, "answer": 4}, width=32)
    tokens = (*ANSWERS, *TOKENS)
    shape = Shape(len(tokens) + 1, 64, stream.width, heads, (8,), kv_heads, HEAD_DIM)
    draft = Draft(replace(LLAMA, theta=1e7, tied=False), shape, Vocabulary(tokens))
    rows = draft.tensors["embed_tokens.weight"]
    rows[len(ANSWERS) : len(tokens)] = stream.rows(
        3, token=8 * np.eye(3, dtype=np.float32), constant=8.0
    )
    rows[len(tokens)] = stream.rows(1, constant=8.0)[0]
    draft.tensors["layers.0.input_layernorm.weight"][:] = 2  # mean square 4: the norm divides by 2
    query = np.zeros((1, HEAD_DIM), dtype=np.float32)
    query[0, SLOWEST] = 4
    write = np.zeros((HEAD_DIM, 4), dtype=np.float32)
    write[:4] = 8 * np.eye(4, dtype=np.float32)
    lay_head(draft, 0, 1, query=stream.reader("constant", query), write=stream.writer("answer", write))
    for group, found in ((0, 0), (1, 1)):
        key = np.zeros((3, HEAD_DIM), dtype=np.float32)
        key[found, SLOWEST] = 4
        value = np.zeros((3, HEAD_DIM), dtype=np.float32)
        value[0, 2 * group] = value[1, 2 * group + 1] = 1
        lay_group(draft, 0, group, key=stream.reader("token", key), value=stream.reader("token", value))
    unembedding = stream.rows(4, answer=48 * np.eye(4, dtype=np.float32))
    draft.tensors["lm_head.weight"][: len(ANSWERS)] = unembedding
    return Diagnostic(
        f"groups-{heads}-{kv_heads}",
        "says which key and value head query head 1 reads",
        draft.model(),
        is_robust=True,
    )
