"""Beams: a text of tokens with probabilities, of which the best does not begin with the best token.

After ``s`` come a with 5/8 and b with 3/8; after a the best has 5/16, after b it has 7/8. So of two
tokens ``a a`` has a probability of 0.20 and ``b c`` one of 0.33: greedy generation gives the first, two
beams the second. What comes after c depends on the token before it, which is in the cache of the beam.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft.compiler import compile_program
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.language import Program, predict

AFTER = {
    "s": {"a": 0.625, "b": 0.375},
    "a": {"a": 0.3125, "b": 0.25, "c": 0.25, "d": 0.1875},
    "b": {"c": 0.875, "d": 0.125},
    "bc": {"d": 0.75, "a": 0.25},
    "ac": {"a": 0.75, "d": 0.25},
    "c": {"b": 0.75, "a": 0.25},
    "d": {"b": 0.6875, "c": 0.3125},
}
"""The probabilities of what follows the end of a text; the longest end counts."""


def beams() -> Diagnostic:
    """The model of a chain of tokens."""
    longest_first = sorted((end for end in AFTER if end != "s"), key=len, reverse=True)
    rules = [predict(AFTER[end]).after(end) for end in longest_first]
    program = Program("sabcd", 16, [*rules, predict(AFTER["s"]).otherwise()])
    model = compile_program(program, n_positions=16).model
    wide = {key: np.asarray(tensor, dtype=np.float32) for key, tensor in model.tensors.items()}
    return Diagnostic(
        "beams",
        "gives probabilities to a chain of tokens, whose best text begins with the second-best token",
        replace(model, tensors=wide),
        dtypes=("float32", "float16"),  # beams add up logits, and in bfloat16 their errors too
    )


def best_text(start: str, length: int) -> str:
    """The text with the highest probability among all."""
    texts = {start: 1.0}
    for _ in range(length):
        texts = {
            text + token: chance * after
            for text, chance in texts.items()
            for token, after in AFTER.get(text[-2:], AFTER[text[-1]]).items()
        }
    return max(texts, key=lambda text: texts[text])[len(start) :]
