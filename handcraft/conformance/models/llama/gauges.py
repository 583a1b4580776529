"""Gauges of what a Llama computes: the scale of scores, RMSNorm and its epsilon, SwiGLU.

A Llama has no biases, so the 1 of a gauge comes from the embedding too, and a reading is a difference
of two numbers that are equal where the engine is right.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, sqrt

import numpy as np

from handcraft.architecture import LLAMA
from handcraft.conformance.layout.gauge import FURTHEST, GROUPS, MARKS
from handcraft.conformance.layout.plain_stream import PlainStream, lay_group, lay_head
from handcraft.conformance.layout.stream import Draft
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.model import Shape
from handcraft.model.layers.attention import Array
from handcraft.vocabulary import Vocabulary

WIDTH = 32
LOUD = 16.0
ONE = np.ones((1, 1), dtype=np.float32)
SLOWEST = 7
"""Of 8 pairs the one that is rotated least."""


def llama_scale() -> Diagnostic:
    """The weight of ``hi`` beside ``lo``, whose scores differ by 1 nat: 0.731; a mark is 1/32."""
    stream = PlainStream({**GROUPS, "hi": 1, "lo": 1, "constant": 1, "fill": 1}, WIDTH)
    draft = _draft(stream, ("hi", "lo"))
    rows = draft.tensors["embed_tokens.weight"]
    rows[_id(0)] = stream.rows(1, hi=4.0, constant=4.0)[0]  # mean square 1
    rows[_id(1)] = stream.rows(1, lo=4.0, constant=4.0)[0]
    rows[_id(2)] = stream.rows(1, fill=32.0**0.5)[0]
    right = 1 / (1 + exp(-1))
    hidden = -512.0  # the begin token is not looked at
    channel = np.zeros((1, 16), dtype=np.float32)
    channel[0, SLOWEST] = 1
    lay_head(
        draft,
        0,
        0,
        query=stream.reader("constant", channel),
        write=stream.writer("reading", 32 * LOUD * ONE),
    )
    key = stream.reader("hi", channel / 4) + stream.reader("fill", channel * hidden / 4)
    value = stream.reader("hi", (1 - right) * ONE / 4) - stream.reader("lo", right * ONE / 4)
    lay_group(draft, 0, 0, key=key, value=value)
    one = np.zeros((16, 1), dtype=np.float32)
    one[1] = LOUD
    draft.tensors["layers.0.self_attn.v_proj.weight"][1] = stream.reader("constant", ONE / 4)[0]
    draft.tensors["layers.0.self_attn.o_proj.weight"][:, :16] += stream.writer("one", one)
    return _finished(
        draft, "llama-scale", "measures the weight that a head gives to `hi`", "the weight", 1 / 32
    )


def llama_activation() -> Diagnostic:
    """SiLU at -1.25, times 1, which is -0.278; GELU is -0.132 there and ReLU 0; a mark is 1/32."""
    stream = PlainStream({**GROUPS, "constant": 2}, WIDTH)
    draft = _draft(stream, ("x",))
    rows = draft.tensors["embed_tokens.weight"]
    rows[_id(0)] = rows[_id(1)] = stream.rows(1, constant=[4.0, 0.0], one=4.0)[0]  # mean square 1
    at = -1.25
    right = at / (1 + exp(-at))
    gate, up, down = (
        draft.tensors[f"layers.0.mlp.{part}_proj.weight"] for part in ("gate", "up", "down")
    )
    constant = stream.dims("constant").start
    reading = stream.dims("reading").start
    gate[0, constant], up[0, constant], down[reading, 0] = at / 4, 1 / 4, 32 * 4
    gate[1, constant], up[1, constant], down[reading, 1] = 32 / 4, 1 / 4, -right * 4  # 32 is straight
    return _finished(draft, "llama-activation", f"measures SwiGLU at {at}", "the hidden unit", 1 / 32)


def llama_norm() -> Diagnostic:
    """RMSNorm of streams as small as epsilon (``x``, ``y``), and of one with a mean (``m``).

    They are compared with ``c``, whose stream is large and has no mean, so each norm gives the same for
    it. A mark is 1/16 of what is right.
    """
    stream = PlainStream({**GROUPS, "x": 1, "m": 1, "more": 15, "c": 1, "minus": 1, "fill": 1}, WIDTH)
    draft = _draft(stream, ("x", "m", "c", "y"))
    rows = draft.tensors["embed_tokens.weight"]
    rows[_id(0)] = stream.rows(1, x=sqrt(WIDTH * 1e-5))[0]  # mean square 1e-5
    rows[_id(1)] = stream.rows(1, m=1.0, more=1.0)[0]
    rows[_id(2)] = stream.rows(1, c=4.0, minus=-4.0)[0]
    rows[_id(3)] = stream.rows(1, x=sqrt(WIDTH * 1e-10))[0]
    rows[_id(4)] = stream.rows(1, fill=4.0)[0]
    gains = draft.tensors["layers.0.input_layernorm.weight"]
    gains[stream.dims("c")] = 4.0
    normed_x, normed_m, normed_c = sqrt(WIDTH / 2), sqrt(WIDTH / 16), 4 * sqrt(WIDTH / 2)
    value = (
        stream.reader("x", ONE / normed_x)
        + stream.reader("m", ONE / normed_m)
        - stream.reader("c", ONE / normed_c)
    )
    lay_group(draft, 0, 0, value=np.concatenate([value, stream.reader("c", ONE / normed_c)]))
    write = np.zeros((16, 2), dtype=np.float32)
    write[0, 0], write[1, 1] = 16 * LOUD, LOUD
    both = stream.writer("reading", write[:, :1]) + stream.writer("one", write[:, 1:])
    lay_head(draft, 0, 0, write=both)
    return _finished(
        draft,
        "llama-norm",
        "measures RMSNorm of a small stream, and of one with a mean",
        "what the norm gives",
        1 / 16,
    )


def _id(number: int) -> int:
    """The id of a token, after the marks; the begin token is the last."""
    return len(MARKS) + number


def _draft(stream: PlainStream, tokens: tuple[str, ...]) -> Draft:
    count = len(MARKS) + len(tokens) + 1
    shape = Shape(count, 64, stream.width, 1, (8,), 1, 16)
    architecture = replace(LLAMA, theta=1e7, norm_epsilon=1e-5, tied=False)
    return Draft(architecture, shape, Vocabulary((*MARKS, *tokens)))


def _mark_rows(stream: PlainStream, scale: float) -> Array:
    j = np.arange(-FURTHEST, FURTHEST + 1, dtype=np.float32)[:, None]
    return stream.rows(len(j), reading=2 * j * scale, one=(1 - j * j) * scale)


def _finished(draft: Draft, name: str, computes: str, what: str, step: float) -> Diagnostic:
    stream = PlainStream(GROUPS, WIDTH)  # the gauge is first in every stream
    draft.tensors["lm_head.weight"][: len(MARKS)] = _mark_rows(stream, 32)
    readings = {
        number: f"{what} was off by about {j * step:+.3f}"
        for number, j in enumerate(range(-FURTHEST, FURTHEST + 1))
    }
    return Diagnostic(name, computes, draft.model(), readings)
