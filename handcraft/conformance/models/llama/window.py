"""Window: the oldest token that is visible is the answer, so it says how long the window is.

The score of one head rises with the distance of a token, by 104 nats each step. bfloat16 has too few
digits for that over 28 tokens, so there is a model of a window of 6, which is exact over 12 tokens in
all dtypes. Every token of a prompt is another one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from handcraft.architecture import LLAMA
from handcraft.conformance.layout.codewords import orthogonal_words
from handcraft.conformance.layout.plain_stream import PlainStream, lay_group, lay_head
from handcraft.conformance.layout.stream import Draft
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.conformance.models.llama.rotary_maps import key_of, query_of
from handcraft.dtype import BFLOAT16, FLOAT16, FLOAT32, DType
from handcraft.model import Shape
from handcraft.rotary.oldest import oldest_visible
from handcraft.rotary.rotation import Rotation
from handcraft.vocabulary import Vocabulary


@dataclass(frozen=True)
class Size:
    """A window, and the most tokens of a prompt.

    Args:
        window: how many tokens a token sees, itself among them.
        tokens: of which every one of a prompt is another.
        dtypes: in which the scores are exact.
    """

    window: int
    tokens: int
    dtypes: tuple[DType, ...]


SIZES = {
    "window": Size(16, 28, (FLOAT32, FLOAT16)),
    "window-6": Size(6, 12, (FLOAT32, BFLOAT16, FLOAT16)),
}
"""The models by name."""

HEAD_DIM = 16
NATS = 104.0


def window(name: str) -> Diagnostic:
    """A model of `SIZES`: width 64, one block, one head, a sliding window."""
    size = SIZES[name]
    count, fewest = size.tokens, min(size.dtypes, key=lambda dtype: dtype.significand)
    stream = PlainStream({"token": 16, "constant": 1, "fill": 2, "begin": 1, "answer": 16}, width=64)
    words = orthogonal_words(16)
    shape = Shape(count + 1, count + 1, stream.width, 1, (8,), 1, HEAD_DIM)
    tokens = tuple(f"w{i}" for i in range(count))
    draft = Draft(replace(LLAMA, window=size.window, tied=False), shape, Vocabulary(tokens))
    rows = draft.tensors["embed_tokens.weight"]
    both = np.concatenate([words, -words])[:count]
    rows[:count] = stream.rows(count, token=both, constant=4.0, fill=4.0)  # mean square 1
    rows[count] = stream.rows(1, constant=4.0, fill=4.0, begin=4.0)[0]
    found = oldest_visible(Rotation(HEAD_DIM, 10_000.0, count + 1), fewest, NATS)
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
    draft.tensors["lm_head.weight"][:count] = stream.rows(count, answer=2 * both)
    return Diagnostic(
        name,
        f"answers with the oldest token in a window of {size.window}",
        draft.model(),
        {
            i: f"the token at place {i} of the prompt was the oldest that is visible"
            for i in range(count)
        },
        dtypes=tuple(dtype.name for dtype in size.dtypes),
        is_robust=True,
    )


def answers_to(length: int, window: int) -> list[int]:
    """What is right at every token of a prompt w0, w1, ... of this length."""
    return [max(0, place - window + 1) for place in range(length)]
