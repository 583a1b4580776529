"""Whether a program compiled to a Llama answers as it means, at every level."""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np

from handcraft import HandcraftError, Program, compile_program
from handcraft.circuits import ideal_next
from handcraft.errors import HandcraftWarning

DTYPES = ("float32", "bfloat16", "float16")


def compared(program: Program, dtype: str) -> bool | None:
    """Whether model and ideal circuits answer as the program; None if it is refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HandcraftWarning)
            compiled = compile_program(program, architecture="llama", dtype=dtype)
    except HandcraftError:
        return None
    tokens = program.vocabulary.tokens
    longest = [*product(range(len(tokens)), repeat=program.context)]
    texts = np.array(longest[:: max(1, len(longest) // 200)])
    expected = np.array(
        [
            [
                tokens.index(program.meaning([tokens[i] for i in row[: end + 1]]))
                for end in range(program.context)
            ]
            for row in texts.tolist()
        ]
    )
    model = compiled.model.forward(texts)[..., : len(tokens)].argmax(-1)
    ideal = ideal_next(compiled.plan.circuits, texts)
    return bool((model == expected).all() and (ideal == expected).all())
