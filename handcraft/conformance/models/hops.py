"""Two hops: a slot names a slot, and the answer is what that one had found, in capitals.

Token ``a5`` means slot 5. In the first block every position finds the token in the slot that its own
token names. In the second it goes to the slot that this token names, and answers with what was found
there, as a capital: ``A3`` for ``a3``. A slot that is not there yet counts as slot 0, so what a causal
mask should hide is seen in the answer, also where it was hidden from an earlier position. Each block
uses another of the four heads, so wrong heads, blocks that are exchanged or left out, and caches that
are read by the wrong block change the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handcraft.architecture import GPT2
from handcraft.conformance.layout.codewords import orthogonal_words
from handcraft.conformance.layout.stream import Draft, Stream
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.model import Shape
from handcraft.vocabulary import Vocabulary

SLOTS = 16
SHARPNESS = 128
"""Scores of a match are 16 times as large, those of slot 0 half of that, before 1/sqrt(head_dim)."""

LOUDER = 16
"""How much longer the codeword of the answer is than that of the token at the same place."""

CONSTANTS = [4.0, 3.0, 2.0, 1.0, 1.0]
"""They complete the sum of squares of half a stream to 64, so that the first LayerNorm divides by 1."""


def hops() -> Diagnostic:
    """The model of two hops: width 128, two blocks of four heads."""
    stream = Stream({"position": 16, "token": 16, "found": 16, "first": 1, "constant": 5}, half=64)
    words, same = orthogonal_words(SLOTS), np.eye(16, dtype=np.float32)
    tokens = tuple(f"{letter}{i}" for letter in "aA" for i in range(SLOTS))
    shape = Shape(2 * SLOTS + 1, SLOTS, stream.width, 4, (8, 8))
    draft = Draft(GPT2, shape, Vocabulary(tokens))
    draft.tensors["wte.weight"][:-1] = stream.rows(2 * SLOTS, token=np.concatenate([words, -words]))
    first = np.full((SLOTS, 1), -1, dtype=np.float32)
    first[0] = 1
    draft.tensors["wpe.weight"][:] = stream.rows(SLOTS, position=words, first=first, constant=CONSTANTS)
    key = np.concatenate(
        [stream.reader("position", same), stream.reader("first", np.ones((1, 1), np.float32))], axis=1
    )
    draft.head(
        0,
        1,
        query=stream.reader("token", SHARPNESS * same),
        key=key,
        value=stream.reader("token", same),
        write=stream.writer("found", same),
    )
    draft.head(
        1,
        2,
        query=stream.reader("found", SHARPNESS * same),
        key=key,
        value=stream.reader("found", same),
        write=stream.writer("token", -LOUDER * same),
    )
    for layer, head in ((0, 1), (1, 2)):
        draft.query_bias(layer, head, 16, 4 * SHARPNESS)
    draft.tensors["ln_f.weight"][:] = 3
    return Diagnostic(
        "hops",
        "goes to a slot, and on to the one that is named there; answers with what that one had found",
        draft.model(),
        is_robust=True,
    )


def answers_to(prompt: Sequence[int]) -> list[int]:
    """What is right at every position."""
    found = [prompt[named if named <= place else 0] for place, named in enumerate(prompt)]
    return [SLOTS + found[named if named <= place else 0] for place, named in enumerate(found)]
