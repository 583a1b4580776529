"""Position: the answer names the position that the engine gave to the last token.

Token ``p5`` is the answer at position 5, whatever the prompt is. There is no attention. An engine that
counts padding as positions, that starts again after a cached piece, or that is one late answers with
another number, and this number is the position that it used. Continued from ``p0``, the model counts
through all of its tokens, so no token may end a text.
"""

from __future__ import annotations

from handcraft.architecture import GPT2
from handcraft.conformance.layout.codewords import quadratic_words
from handcraft.conformance.layout.stream import Draft, Stream
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.model import Shape
from handcraft.vocabulary import Vocabulary

POSITIONS = 1024
LOUDER = 16
"""How much longer the codeword of a position is than that of a token, which adds to its own logit."""


def position() -> Diagnostic:
    """The model that answers with positions: width 64, one empty block."""
    stream = Stream({"code": 32}, half=32)
    words = quadratic_words(POSITIONS)
    tokens = tuple(f"p{i}" for i in range(POSITIONS))
    shape = Shape(POSITIONS + 1, POSITIONS, stream.width, 1, (8,))
    draft = Draft(GPT2, shape, Vocabulary(tokens))
    draft.tensors["wte.weight"][:POSITIONS] = stream.rows(POSITIONS, code=words)
    draft.tensors["wpe.weight"][:] = stream.rows(POSITIONS, code=LOUDER * words)
    draft.tensors["ln_f.weight"][:] = 3
    return Diagnostic(
        "position",
        "answers with the position of the last token, counted from 0",
        draft.model(),
        {i: f"position {i} was used" for i in range(POSITIONS)},
        is_robust=True,
    )
