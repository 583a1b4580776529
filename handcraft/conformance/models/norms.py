"""Norms: gauges of the three LayerNorms of a block and of the stream.

``epsilon-1``, ``epsilon-2`` and ``epsilon-f`` measure what ln_1, ln_2 and ln_f make of a stream whose
variance is as small as epsilon, 1e-5: token ``x`` is divided by sqrt(2e-5). The mark is another one if
epsilon is 1e-6 or 1e-12, or is added after the root. Token ``y``, whose variance is 1e-10, makes the
last two differ. ``centring`` measures what ln_2 makes of a stream whose mean is not 0:
RMSNorm, a variance over n - 1, a missing bias and a gain of one more give other marks.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal

import numpy as np

from handcraft.architecture import GPT2
from handcraft.conformance.layout.gauge import FURTHEST, GROUPS, MARKS, mark_rows
from handcraft.conformance.layout.stream import Draft, Stream
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.model import Shape
from handcraft.model.layers.attention import Array
from handcraft.vocabulary import Vocabulary

HALF = 32
SMALL = sqrt(HALF * 1e-5)
"""The only dimension of the stream after ``x``: its variance is SMALL**2 / HALF = 1e-5."""

SMALLER = sqrt(HALF * 1e-10)
"""The same after ``y``."""

NORMED = sqrt(HALF / 2)
"""What a LayerNorm with epsilon 1e-5 makes of it."""

STEP = 1 / 4
"""A mark, in what the norm gives."""

LOUD = 16.0

BEYOND = 16.0
"""Added before a GELU, so that it is the identity."""


def epsilon(place: Literal["1", "2", "f"]) -> Diagnostic:
    """The gauge of the epsilon of one norm: width 64, one block."""
    stream = Stream({**GROUPS, "token": 1}, half=HALF)
    draft = _draft(stream, "x", "y")
    tensors, one = draft.tensors, np.ones((1, 1), dtype=np.float32)
    sizes = np.array([[SMALL], [SMALLER]], dtype=np.float32)
    tokens = slice(len(MARKS), len(MARKS) + 2)
    if place == "f":  # the token is the reading
        tensors["wte.weight"][tokens] = stream.rows(2, reading=sizes)
        tensors["ln_f.weight"][:] = LOUD / STEP
        tensors["ln_f.bias"][:] = stream.rows(1, reading=-NORMED * LOUD / STEP, one=LOUD)[0]
    else:
        tensors["wte.weight"][tokens] = stream.rows(2, token=sizes)
        write = stream.writer("reading", one * LOUD / STEP)
        right = stream.rows(1, reading=-NORMED * LOUD / STEP, one=LOUD)[0]
        if place == "1":
            draft.head(0, 0, value=stream.reader("token", one), write=write)
            tensors["h.0.attn.c_proj.bias"][:] = right
        else:
            _unit(draft, stream.reader("token", one), write, right)
    return Diagnostic(
        f"epsilon-{place}",
        f"measures what ln_{place} makes of a stream whose variance is 1e-5",
        draft.model(),
        _readings("the norm gave", NORMED, STEP),
    )


CENTRING_STEP = 1 / 128
CENTRED_BIAS = -3 / 128


def centring() -> Diagnostic:
    """The gauge of the mean and the variance of ln_2: width 64, one block."""
    stream = Stream({**GROUPS, "token": 1}, half=HALF)
    draft = _draft(stream, "x")
    tensors, one = draft.tensors, np.ones((1, 1), dtype=np.float32)
    raised = np.zeros(stream.width, dtype=np.float32)
    raised[stream.dims("token").start] = raised[HALF + 8 :] = 1
    tensors["wte.weight"][len(MARKS)] = raised
    mean = raised.mean()
    normed = float((1 - mean) / np.sqrt(raised.var() + 1e-5))
    tensors["h.0.ln_2.bias"][stream.dims("token")] = CENTRED_BIAS
    read = np.zeros((stream.width, 1), dtype=np.float32)
    read[stream.dims("token")] = 1
    right = normed + CENTRED_BIAS
    size = LOUD / CENTRING_STEP
    write = stream.writer("reading", one * size)
    _unit(draft, read, write, stream.rows(1, reading=-right * size, one=LOUD)[0])
    return Diagnostic(
        "centring",
        "measures what ln_2 makes of a stream whose mean is not 0",
        draft.model(),
        _readings("the norm gave", right, CENTRING_STEP),
    )


def _draft(stream: Stream, *tokens: str) -> Draft:
    shape = Shape(len(MARKS) + len(tokens) + 1, 64, stream.width, 2, (8,))
    draft = Draft(GPT2, shape, Vocabulary((*MARKS, *tokens)))
    draft.tensors["wte.weight"][: len(MARKS)] = mark_rows(stream, 8)
    return draft


def _unit(draft: Draft, read: Array, write: Array, bias: Array) -> None:
    """One hidden unit that passes on what it reads, since it is far in the straight part of GELU."""
    tensors = draft.tensors
    tensors["h.0.mlp.c_fc.weight"][:, :1] = read
    tensors["h.0.mlp.c_fc.bias"][0] = BEYOND
    tensors["h.0.mlp.c_proj.weight"][:1] = write
    tensors["h.0.mlp.c_proj.bias"][:] = bias - BEYOND * write[0]


def _readings(what: str, right: float, step: float) -> dict[int, str]:
    """The number that each mark stands for."""
    numbers = (right + j * step for j in range(-FURTHEST, FURTHEST + 1))
    return {place: f"{what} about {number:.3f}" for place, number in enumerate(numbers)}
