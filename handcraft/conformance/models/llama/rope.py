"""RoPE: one head attends to another token for each known fault of how queries and keys are rotated.

The token says which fault it is. A linear program over all faults at once finds the query
(`handcraft.rotary.faults`). Only the answer after the last of 32 tokens counts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft.architecture import LLAMA
from handcraft.conformance.layout.plain_stream import PlainStream, lay_group, lay_head
from handcraft.conformance.layout.stream import Draft
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.conformance.models.llama.rotary_maps import key_of, query_of
from handcraft.dtype import BFLOAT16, FLOAT16, FLOAT32
from handcraft.model import Shape
from handcraft.rotary.faults import FAULTS, fault_score
from handcraft.rotary.rotation import Rotation
from handcraft.vocabulary import Vocabulary

LENGTH = 32
HEAD_DIM = 64
THETA = 500_000.0
NATS = 104.0
NAMES = tuple(fault.name for fault in FAULTS)
TOKENS = (*NAMES, "other")
NO_ROPE = NAMES.index("no-rope")


def rope() -> tuple[Diagnostic, tuple[int, ...]]:
    """The model, of width 64 and one head, and the prompt that it is for, without the begin token."""
    count = len(TOKENS)
    stream = PlainStream(
        {"token": count, "constant": 1, "begin": 1, "fill": 2, "answer": count}, width=64
    )
    found = fault_score(Rotation(HEAD_DIM, THETA, LENGTH + 1), (FLOAT32, BFLOAT16, FLOAT16), NATS)
    shape = Shape(count + 1, LENGTH + 8, stream.width, 1, (8,), 1, HEAD_DIM)
    draft = Draft(replace(LLAMA, theta=THETA, tied=False), shape, Vocabulary(TOKENS))
    same = np.eye(count, dtype=np.float32)
    rows = draft.tensors["embed_tokens.weight"]
    rows[:count] = stream.rows(count, token=4 * same, constant=4.0, fill=4.0)  # mean square 1
    rows[count] = stream.rows(1, constant=4.0, begin=4.0, fill=4.0)[0]
    key = stream.reader("constant", key_of(found.score.keys, HEAD_DIM) / 4)
    key += stream.reader("begin", key_of(found.score.begin, HEAD_DIM) / 4)
    value = stream.reader("token", same)
    value[NO_ROPE] += stream.reader("begin", np.ones((1, 1), dtype=np.float32))[0]
    lay_group(draft, 0, 0, key=key, value=value)
    lay_head(
        draft,
        0,
        0,
        query=stream.reader("constant", query_of(found.score) / 4),
        write=stream.writer("answer", 16 * same),
    )
    draft.tensors["lm_head.weight"][:count] = stream.rows(count, answer=24 * same)
    prompt = [TOKENS.index("other")] * LENGTH
    for name, distance in found.distances.items():
        if distance < LENGTH:
            prompt[LENGTH - 1 - distance] = TOKENS.index(name)
    diagnostic = Diagnostic(
        "rope",
        "says how queries and keys are rotated",
        draft.model(),
        is_robust=True,
    )
    return diagnostic, tuple(prompt)
