"""Compiled: programs whose every answer is defined by rules, as handcraft compiles them.

They are compiled for float16, and their numbers are stored in float32, which has them all: so the same
file answers in three dtypes.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from handcraft.compiler import compile_program
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.language import Program, Prompts, predict, select

LETTERS = "abcd"


def aab() -> Program:
    """After ``aa`` comes b, else a."""
    return Program("ab", 64, [predict("b").after("aa"), predict("a").otherwise()])


def pairs() -> Program:
    """A table of 64 three-letter texts, each with the letter that follows it."""
    texts = list(product(LETTERS, repeat=3))
    followers = {"".join(text): LETTERS[(7 * i + i // 5) % 4] for i, text in enumerate(texts)}
    rules = [predict(letter).after(text) for text, letter in followers.items()]
    return Program(LETTERS, 64, [*rules, predict("a").otherwise()])


def induction() -> Program:
    """The token that followed the last token before; a where it is new."""
    prompts = Prompts("abc", context=16)
    token, position = prompts.token, prompts.position
    before = token.at(-1, default="a")
    followed = select(before, token) & select(position, 0, ">")
    return Program(prompts=prompts, rules=[predict(followed.latest(token, default="a")).otherwise()])


PROGRAMS = {
    "aab": (aab, "answers b after aa, and a otherwise"),
    "pairs": (pairs, "answers with the letter that a table of 64 texts gives for the last three"),
    "induction": (induction, "answers with what followed the last token when it occurred before"),
}
"""The programs by name, each with what it computes."""

LLAMA_PROGRAMS = {"aab": 1.5, "pairs": 1.078125}
"""The programs of which there is a Llama too, each with a factor of the logits, as in `LOUDER`."""

LOUDER = {"aab": 1.25, "pairs": 1.75, "induction": 1.0}
"""A factor of the logits: just below a power of two they have more units in the last place."""


def compiled(name: str) -> Diagnostic:
    """The model of a program."""
    make, computes = PROGRAMS[name]
    program = make()
    model = compile_program(program, dtype="float16", n_positions=program.context).model
    wide = {key: np.asarray(tensor, dtype=np.float32) for key, tensor in model.tensors.items()}
    for part in ("ln_f.weight", "ln_f.bias"):
        wide[part] = wide[part] * np.float32(LOUDER[name])
    return Diagnostic(name, computes, replace(model, tensors=wide), is_robust=True, means=program)


def compiled_llama(name: str) -> Diagnostic:
    """The model of a program as a Llama."""
    make, computes = PROGRAMS[name]
    program = make()
    model = compile_program(
        program, architecture="llama", dtype="float16", n_positions=program.context + 1
    ).model
    wide = {key: np.asarray(tensor, dtype=np.float32) for key, tensor in model.tensors.items()}
    wide["norm.weight"] = wide["norm.weight"] * np.float32(LLAMA_PROGRAMS[name])
    loud = replace(model, tensors=wide)
    return Diagnostic(f"llama-{name}", computes, loud, is_robust=True, means=program)


def answers_to(program: Program, text: str) -> list[str]:
    """What the rules say at every position of a text."""
    return [program.meaning(text[: place + 1]) for place in range(len(text))]
