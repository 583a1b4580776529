"""Window: the oldest token that is visible is the answer, so it says how long the window is.

The score of one head rises with the distance of a token, by 104 nats each step in float32 and float16;
bfloat16 has too few digits for that. Every token of a prompt is another one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft.architecture import LLAMA
from handcraft.conformance.layout.codewords import orthogonal_words
from handcraft.conformance.layout.plain_stream import PlainStream, lay_group, lay_head
from handcraft.conformance.layout.stream import Draft
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.conformance.models.llama.rotary_maps import key_of, query_of
from handcraft.dtype import FLOAT16
from handcraft.model import Shape
from handcraft.rotary.oldest import oldest_visible
from handcraft.rotary.rotation import Rotation
from handcraft.vocabulary import Vocabulary

WINDOW = 16
TOKENS = 28
HEAD_DIM = 16
NATS = 104.0


def window() -> Diagnostic:
    """The model: width 64, one block, one head, a sliding window of 16."""
    stream = PlainStream({"token": 16, "constant": 1, "fill": 2, "begin": 1, "answer": 16}, width=64)
    words = orthogonal_words(16)
    shape = Shape(TOKENS + 1, TOKENS + 1, stream.width, 1, (8,), 1, HEAD_DIM)
    tokens = tuple(f"w{i}" for i in range(TOKENS))
    draft = Draft(replace(LLAMA, window=WINDOW, tied=False), shape, Vocabulary(tokens))
    rows = draft.tensors["embed_tokens.weight"]
    both = np.concatenate([words, -words])[:TOKENS]
    rows[:TOKENS] = stream.rows(TOKENS, token=both, constant=4.0, fill=4.0)  # mean square 1
    rows[TOKENS] = stream.rows(1, constant=4.0, fill=4.0, begin=4.0)[0]
    found = oldest_visible(Rotation(HEAD_DIM, 10_000.0, TOKENS + 1), FLOAT16, NATS)
    same = np.eye(16, dtype=np.float32)
    key = stream.reader("constant", key_of(found.keys, HEAD_DIM) / 4)
    key += stream.reader("begin", key_of(found.begin, HEAD_DIM) / 4)
    lay_head(
        draft,
        0,
        0,
        query=stream.reader("constant", query_of(found) / 4),
        write=stream.writer("answer", 8 * same),
    )
    lay_group(draft, 0, 0, key=key, value=stream.reader("token", same))
    draft.tensors["lm_head.weight"][:TOKENS] = stream.rows(TOKENS, answer=2 * both)
    return Diagnostic(
        "window",
        f"answers with the oldest token in a window of {WINDOW}",
        draft.model(),
        {
            i: f"the token at place {i} of the prompt was the oldest that is visible"
            for i in range(TOKENS)
        },
        dtypes=("float32", "float16"),
        is_robust=True,
    )


def answers_to(length: int) -> list[int]:
    """What is right at every token of a prompt w0, w1, ... of this length."""
    return [max(0, place - WINDOW + 1) for place in range(length)]
