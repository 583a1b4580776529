"""Frequencies: a gauge of how exactly a long distance is rotated, at position 1,003.

An engine that is cast to half precision as a whole, as `.half()` and `.to(dtype)` of torch cast a model
of transformers, rounds the frequencies of RoPE too. At position 1,003 the pair that is measured is then
0.86 radians off in bfloat16 and 0.12 in float16. One that counts positions in bfloat16 takes 1,003 for
1,004. One head compares the begin token, whose score is A sin(d) for an angle that is d off, with the
last token, whose score is 0; a mark is 1/16 of its attention weight.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np

from handcraft.architecture import LLAMA
from handcraft.conformance.layout.gauge import GROUPS, MARKS
from handcraft.conformance.layout.plain_stream import PlainStream, lay_group, lay_head
from handcraft.conformance.layout.stream import Draft
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.conformance.models.llama.gauges import LOUD, ONE, WIDTH, finished
from handcraft.dtype import BFLOAT16
from handcraft.model import Shape
from handcraft.vocabulary import Vocabulary

HEAD_DIM = 16
PAIRS = HEAD_DIM // 2
THETA = 35_000.0
PAIR = 1
"""Whose frequency, 0.27039, is far from the nearest numbers of bfloat16 and of float16."""

SLOWEST = PAIRS - 1
LAST = 1003
"""The position of the last token: the begin token is at 0."""

TOKENS = ("x", "fill")
AMPLITUDE = 4.0
"""The largest score of the begin token, in nats."""

HIDDEN = -512.0
STEPS = 16


def frequencies() -> Diagnostic:
    """The model: width 32, one block, one head."""
    stream = PlainStream({**GROUPS, "x": 1, "begin": 1, "constant": 1, "fill": 1}, WIDTH)
    tokens = (*MARKS, *TOKENS)
    shape = Shape(len(tokens) + 1, LAST + 8, stream.width, 1, (8,), 1, HEAD_DIM)
    draft = Draft(replace(LLAMA, theta=THETA, tied=False), shape, Vocabulary(tokens))
    rows = draft.tensors["embed_tokens.weight"]
    first = len(MARKS)
    rows[first] = stream.rows(1, x=4.0, constant=4.0)[0]  # mean square 1
    rows[first + 1] = stream.rows(1, fill=32.0**0.5)[0]
    rows[first + 2] = stream.rows(1, begin=4.0, constant=4.0)[0]
    query, right = _query()
    key = np.zeros((2, HEAD_DIM), dtype=np.float32)
    key[0, PAIR] = key[1, SLOWEST] = 1
    lay_head(
        draft,
        0,
        0,
        query=stream.reader("constant", query),
        write=stream.writer("reading", STEPS * LOUD * ONE),
    )
    lay_group(
        draft,
        0,
        0,
        key=stream.reader("begin", key[:1]) + stream.reader("fill", key[1:] * HIDDEN),
        value=stream.reader("begin", (1 - right) * ONE / 4) - stream.reader("x", right * ONE / 4),
    )
    one = np.zeros((HEAD_DIM, 1), dtype=np.float32)
    one[1] = LOUD
    draft.tensors["layers.0.self_attn.v_proj.weight"][1] = stream.reader("constant", ONE / 4)[0]
    draft.tensors["layers.0.self_attn.o_proj.weight"] += stream.writer("one", one)
    return finished(
        draft,
        "frequencies",
        f"measures the angle by which a query at position {LAST} is rotated",
        "the weight",
        1 / STEPS,
    )


def _query() -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], float]:
    """The query as a row of channels, in numbers of bfloat16, and the right attention weight.

    The key (1, 0) at position 0 has the score q1 cos(a) + q2 sin(a) with a query that is rotated
    by a: what is rotated to (0, A) at the right angle has the score A sin(d) at one that is d off.
    """
    angle = LAST * float(np.float32(1) / np.float32(THETA) ** np.float32(2 * PAIR / HEAD_DIM))
    size = AMPLITUDE * HEAD_DIM**0.5 / 16  # the key is 4 times larger, and so is the constant
    exact = np.array([size * np.sin(angle), size * np.cos(angle)])
    stored = exact.astype(BFLOAT16.numpy).astype(np.float32)
    row = np.zeros((1, HEAD_DIM), dtype=np.float32)
    row[0, [PAIR, PAIR + PAIRS]] = stored
    row[0, SLOWEST] = 1
    score = 16 * float(stored[0] * np.cos(angle) - stored[1] * np.sin(angle)) / HEAD_DIM**0.5
    return row, 1 / (1 + exp(-score))
