"""Recall: the last token names a slot, and the answer is the token in that slot.

Token ``v5`` means slot 5 where it is the last, and only itself elsewhere. One head compares the code
of the token with the codes of all positions, and copies the token that it finds. If every token of a
prompt is another one, the answer names the slot that was read. So a cache that lost, repeated or
exchanged a page is seen, and the answer says which slot was read in place of the right one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handcraft.architecture import GPT2
from handcraft.conformance.layout.codewords import quadratic_words
from handcraft.conformance.layout.stream import Draft, Stream
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.model import Shape
from handcraft.vocabulary import Vocabulary

SLOTS = 1024
"""How many slots a token can name."""

POSITIONS = 1056
"""A prompt may be longer than the largest page."""

SHARPNESS = 64
"""Scores are then 192 nats apart or more, where softmax gives exactly 0 in every dtype."""

LOUDER = 16
"""How much longer the copied codeword is than that of the token at the same place."""

STRIDE = 389
"""Slot i of a prompt contains token 389 i + 7, modulo 1,024, so that no slot contains its own name."""


def recall() -> Diagnostic:
    """The model that reads a named slot: width 128, one block, two heads of which one is used."""
    stream = Stream({"position": 32, "token": 32}, half=64)
    words, same = quadratic_words(2 * SLOTS), np.eye(32, dtype=np.float32)
    tokens = tuple(f"v{i}" for i in range(SLOTS))
    shape = Shape(SLOTS + 1, POSITIONS, stream.width, 2, (8,))
    draft = Draft(GPT2, shape, Vocabulary(tokens))
    draft.tensors["wte.weight"][:SLOTS] = stream.rows(SLOTS, token=words[:SLOTS])
    draft.tensors["wte.weight"][SLOTS] = stream.rows(1, token=words[SLOTS])[0]  # padding, to be seen
    draft.tensors["wpe.weight"][:] = stream.rows(POSITIONS, position=words[:POSITIONS])
    draft.head(
        0,
        1,
        query=stream.reader("token", SHARPNESS * same),
        key=stream.reader("position", same),
        value=stream.reader("token", same),
        write=stream.writer("token", LOUDER * same),
    )
    draft.tensors["ln_f.weight"][:] = 2
    return Diagnostic(
        "recall",
        "the last token names a slot by its number; answers with the token in that slot",
        draft.model(),
        {token_in(slot): f"slot {slot} was read" for slot in range(SLOTS)}
        | {SLOTS: "padding was read"},
        is_robust=True,
    )


def token_in(slot: int) -> int:
    """The id of the token that prompts have in a slot."""
    return (STRIDE * slot + 7) % SLOTS


def prompt_for(slot: int, length: int) -> tuple[int, ...]:
    """A prompt of `length` tokens whose last names `slot`; every other slot has its own token."""
    return (*(token_in(i) for i in range(length - 1)), slot)


def answers_to(prompt: Sequence[int]) -> list[int | None]:
    """What is right at every position; None where the slot that is named comes later."""
    return [prompt[slot] if slot <= place else None for place, slot in enumerate(prompt)]
