"""Activation: a gauge of the function between the two matrices of the MLP, at x = -2.25.

There GELU by tanh is -0.0272, GELU by erf -0.0275, the quick GELU x sigmoid(1.702 x) -0.0478, SiLU
-0.2145 and ReLU 0. After ``fine`` a mark is 1/8192, which separates tanh from erf; after ``coarse`` it
is 1/128.
"""

from __future__ import annotations

import numpy as np

from handcraft.architecture import GPT2
from handcraft.conformance.layout.gauge import FURTHEST, GROUPS, MARKS, mark_rows
from handcraft.conformance.layout.stream import Draft, Stream
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.model import Shape
from handcraft.model.layers.activation import gelu_tanh
from handcraft.vocabulary import Vocabulary

TOKENS = {"fine": 8192, "coarse": 128}
"""The tokens, each with its marks in a difference of 1."""

AT = -2.25
"""Where the function is measured."""

LOUD = 4.0
"""The size of the reading's unit in the stream."""


def activation() -> Diagnostic:
    """The model: width 64, one block, two hidden units of which each prompt uses one."""
    stream = Stream({**GROUPS, **dict.fromkeys(TOKENS, 1), "constant": 1}, half=32)
    shape = Shape(len(MARKS) + len(TOKENS) + 1, 64, stream.width, 1, (8,))
    draft = Draft(GPT2, shape, Vocabulary((*MARKS, *TOKENS)))
    rows = draft.tensors["wte.weight"]
    rows[: len(MARKS)] = mark_rows(stream, 32)
    draft.tensors["wpe.weight"][:] = stream.rows(64, constant=4.0)
    right = float(gelu_tanh(np.array([AT]))[0])
    one = np.ones((1, 1), dtype=np.float32)
    for unit, (token, steps) in enumerate(TOKENS.items()):
        rows[len(MARKS) + unit] = stream.rows(1, **{token: 4.0})[0]
        draft.tensors["h.0.mlp.c_fc.weight"][:, unit : unit + 1] = stream.reader(token, one * AT / 4)
        draft.tensors["h.0.mlp.c_proj.weight"][unit] = stream.writer("reading", one * steps * LOUD)[0]
        # What the reading is moved by so that the right number gives 0: read by the next unit, which
        # is far in the straight part of every activation.
        straight = 2 + unit
        draft.tensors["h.0.mlp.c_fc.weight"][:, straight : straight + 1] = stream.reader(token, one * 8)
        draft.tensors["h.0.mlp.c_proj.weight"][straight] = stream.writer(
            "reading", one * (-right * steps * LOUD / 32)
        )[0]
    draft.tensors["h.0.mlp.c_proj.bias"][:] = stream.rows(1, one=LOUD)[0]
    return Diagnostic(
        "activation",
        f"measures the activation at {AT}",
        draft.model(),
        {
            number: f"the activation was off by {j} marks"
            for number, j in enumerate(range(-FURTHEST, FURTHEST + 1))
        },
    )
