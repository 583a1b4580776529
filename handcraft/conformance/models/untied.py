"""Untied: the unembedding is a matrix of its own, and two tokens of it are equal.

The answer to ``t2`` is ``t7``, five further on. An engine that takes the embedding for the unembedding
answers ``t2``. Tokens ``t0`` and ``u0`` have the same row, so that their logits are equal, and either
is right.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft.architecture import GPT2
from handcraft.conformance.layout.codewords import orthogonal_words
from handcraft.conformance.layout.stream import Draft, Stream
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.model import Shape
from handcraft.vocabulary import Vocabulary

TOKENS = 16
FURTHER = 5
TWINS = (0, TOKENS)
"""The ids of the two tokens with the same row."""


def untied() -> Diagnostic:
    """The model: width 32, one empty block, a head of its own."""
    stream = Stream({"token": TOKENS}, half=TOKENS)
    words = orthogonal_words(TOKENS)
    shape = Shape(TOKENS + 2, 64, stream.width, 1, (8,))
    tokens = (*(f"t{i}" for i in range(TOKENS)), "u0")
    draft = Draft(replace(GPT2, tied=False), shape, Vocabulary(tokens))
    draft.tensors["wte.weight"][:TOKENS] = stream.rows(TOKENS, token=words)
    draft.tensors["wte.weight"][TOKENS] = stream.rows(1, token=words[0])[0]
    heads = np.roll(words, FURTHER, axis=0)  # row i has the word of token i - FURTHER
    draft.tensors["lm_head.weight"][:TOKENS] = stream.rows(TOKENS, token=6 * heads)
    draft.tensors["lm_head.weight"][TOKENS] = stream.rows(1, token=6 * heads[0])[0]
    return Diagnostic(
        "untied",
        "answers with the token that is five further on, by an unembedding of its own",
        draft.model(),
        is_robust=True,
    )


def answers_to(token: int) -> tuple[int, ...]:
    """What is right after a token: one token, or either of the twins."""
    right = (token % TOKENS + FURTHER) % TOKENS
    return TWINS if right == TWINS[0] else (right,)
