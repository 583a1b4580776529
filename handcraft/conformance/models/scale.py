"""Scale: a gauge of the factor by which scores are multiplied before softmax.

One head of the second block attends to tokens ``hi`` and ``lo``. With 1/sqrt(head_dim) their scores
differ by 1 nat, so ``hi`` gets the attention weight 1 / (1 + 1/e) = 0.731, and the answer is ``+0``.
Each mark is 1/32 of weight: ``-2`` says about 0.669, which 1/sqrt(n_embd) gives. In place of ``hi``,
``mid`` has a score of 1/16 nat, the weight 0.516 and the mark ``-7``, and so separates scales
that are all too large.
"""

from __future__ import annotations

from math import exp

import numpy as np

from handcraft.architecture import GPT2
from handcraft.conformance.layout.gauge import FURTHEST, GROUPS, MARKS, mark_rows
from handcraft.conformance.layout.stream import Draft, Stream
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.model import Shape
from handcraft.vocabulary import Vocabulary

TOKENS = ("hi", "mid", "lo")
RIGHT = 1 / (1 + exp(-1))
KEY = 0.353515625
"""sqrt(32) / 16 to the digits of bfloat16: 4 times 4 times this, over sqrt(32), is a score of 1."""

STEPS = 32
"""Marks in an attention weight of 1."""


def scale() -> Diagnostic:
    """The model: width 64, two blocks, two heads of which one is used."""
    stream = Stream({**GROUPS, "hi": 1, "mid": 1, "lo": 1, "constant": 1}, half=32)
    shape = Shape(len(MARKS) + len(TOKENS) + 1, 64, stream.width, 2, (8, 8))
    draft = Draft(GPT2, shape, Vocabulary((*MARKS, *TOKENS)))
    rows = draft.tensors["wte.weight"]
    rows[: len(MARKS)] = mark_rows(stream, 8)
    for number, token in enumerate(TOKENS, len(MARKS)):
        rows[number] = stream.rows(1, **{token: 4.0})[0]
    draft.tensors["wpe.weight"][:] = stream.rows(64, constant=4.0)  # so the norm divides by 1
    one = np.ones((1, 1), dtype=np.float32)
    draft.head(
        1,
        0,
        query=stream.reader("constant", one),
        key=stream.reader("hi", one * KEY) + stream.reader("mid", one * KEY / 16),
        value=stream.reader("hi", one / 4) + stream.reader("mid", one / 4),
        write=stream.writer("reading", one * STEPS * 16),
    )
    draft.tensors["h.1.attn.c_proj.bias"][:] = stream.rows(1, reading=-STEPS * 16 * RIGHT, one=16)[0]
    return Diagnostic(
        "scale",
        "measures the weight that a head gives to `hi`, from which the scale of its scores follows",
        draft.model(),
        _readings(),
    )


def _readings() -> dict[int, str]:
    """The attention weight that each mark stands for."""
    weights = (RIGHT + j / STEPS for j in range(-FURTHEST, FURTHEST + 1))
    return {
        number: f"the attention weight was about {weight:.2f}" for number, weight in enumerate(weights)
    }
