"""Expressions over thousands of words in gpt2: what they cost, and what transformers makes of them.

Every program is compiled, saved, loaded by transformers and run on random texts; what it predicts at
every position is compared with what the rules mean. Needs what `make test` installs.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from measuring import answer, measured, print_table

from handcraft import Compiled, Program, Prompts, compile_program, predict, select

DTYPES = ("float32", "bfloat16", "float16")
TEXTS = 20
"""How many texts are run."""


def vocabulary(size: int) -> tuple[str, ...]:
    """So many words."""
    return tuple(f"w{number}" for number in range(size))


def repeat(words: tuple[str, ...], context: int) -> Program:
    """The last word again."""
    prompts = Prompts(words, context=context)
    return Program(prompts=prompts, rules=[predict(prompts.token).otherwise()])


def bigram(words: tuple[str, ...], context: int) -> Program:
    """A word of its own for every last word."""
    chosen = Random(5)
    prompts = Prompts(words, context=context)
    follows = {word: chosen.choice(words) for word in words}
    return Program(prompts=prompts, rules=[predict(prompts.token.map(follows)).otherwise()])


def eleven_rules(words: tuple[str, ...], context: int) -> Program:
    """Ten bigrams with a condition on the position, and one word otherwise."""
    prompts = Prompts(words, context=context)
    late = prompts.position >= 3
    rules = [predict(words[i + 1]).after(words[i]).when(late) for i in range(10)]
    return Program(prompts=prompts, rules=[*rules, predict(words[0]).otherwise()])


def induction(words: tuple[str, ...], context: int) -> Program:
    """What followed last time."""
    prompts = Prompts(words, context=context)
    before = prompts.token.at(-1, default=words[0])
    followed = select(before, prompts.token).latest(prompts.token, default=words[0])
    return Program(prompts=prompts, rules=[predict(followed).otherwise()])


def many_names(words: tuple[str, ...], context: int) -> Program:
    """The indirect object among 900 names."""
    return indirect_object(words, context, 900)


def indirect_object(words: tuple[str, ...], context: int, size: int = 20) -> Program:
    """The latest of so many names that is not the last one that was said twice."""
    names = words[:size]
    prompts = Prompts(words, context=context)
    token, position = prompts.token, prompts.position
    name = token.map(lambda word: word if word in names else words[-1])
    is_name = name != words[-1]
    before = select(token, token) & select(position, position, "<")
    giver = select(before.exists() & is_name, True).latest(name, default=words[-1])
    others = select(name, giver, "!=") & select(is_name, True)
    answers = others.latest(token, default=words[-1])
    return Program(prompts=prompts, rules=[predict(answers).otherwise()])


PROGRAMS: tuple[Callable[[tuple[str, ...], int], Program], ...] = (
    repeat,
    bigram,
    eleven_rules,
    induction,
    indirect_object,
    many_names,
)
CASES = [
    *((k, 5_000, 16, dtype) for k, dtype in product(range(len(PROGRAMS)), range(len(DTYPES)))),
    (3, 1_000, 1_024, 0),
    (3, 1_000, 1_024, 1),
    (3, 1_000, 1_024, 2),
    (3, 5_000, 1_024, 0),
]
"""Which program, how many words, how many positions, and which dtype."""


def words_of(program: int, size: int, context: int, dtype: int) -> dict[str, Any]:
    """What one program costs, and how often transformers answers otherwise than the rules mean."""
    made = PROGRAMS[program](vocabulary(size), context)
    start = perf_counter()
    compiled = compile_program(made, dtype=DTYPES[dtype])
    compiling = perf_counter() - start
    found = {
        "blocks": compiled.model.shape.n_layer,
        "width": compiled.model.shape.n_embd,
        "parameters": compiled.model.parameters,
        "compile s": compiling,
        "compile MB": peak_memory(),
    }
    return {**found, **judged(compiled, made, DTYPES[dtype])}


def peak_memory() -> int:
    """Of this process so far, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def judged(compiled: Compiled, program: Program, dtype: str) -> dict[str, Any]:
    """Save it, and run it in transformers."""
    import torch
    from transformers import GPT2LMHeadModel
    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.disable_progress_bar()
    with TemporaryDirectory() as folder:
        start = perf_counter()
        compiled.save(Path(folder) / "model")
        saving = perf_counter() - start
        model = GPT2LMHeadModel.from_pretrained(
            f"{folder}/model", dtype=getattr(torch, dtype), attn_implementation="eager"
        ).eval()
    chosen, wrong, tried = Random(1), 0, 0
    words, context = program.vocabulary.tokens, program.context
    for _ in range(TEXTS if context < 1_000 else 2):
        reach = int(len(words) ** chosen.random()) + 1
        pool = [chosen.randrange(reach) for _ in range(chosen.choice((1, 2, 3, 5, 10, 50)))]
        text = [chosen.choice(pool) for _ in range(context)]
        with torch.no_grad():
            logits = model(torch.tensor([text])).logits[0, :, : len(words)].float()
        said = logits.argmax(-1).tolist()
        wrong += sum(a != b for a, b in zip(said, program.next_tokens(text), strict=True))
        tried += context
    return {"save s": saving, "wrong": wrong, "of": tried}


def main() -> None:
    """Print the table."""
    rows = []
    for program, size, context, dtype in CASES:
        found = measured(__file__, "words", program, size, context, dtype)
        name = PROGRAMS[program].__name__.replace("_", " ")
        sizes = [f"{found[key]:,}" for key in ("blocks", "width", "parameters")]
        seconds = [f"{found[key]:.1f}" for key in ("compile s", "save s")]
        told = f"{found['wrong']} of {found['of']:,}"
        named = [name, f"{size:,}", f"{context:,}", DTYPES[dtype]]
        rows.append([*named, *sizes, *seconds, f"{found['compile MB']}", told])
    heads = ["program", "words", "context", "dtype", "blocks", "width", "parameters"]
    print_table([*heads, "s to compile", "s to save", "MB to compile", "wrong"], rows)


if __name__ == "__main__":
    if sys.argv[1:]:
        answer({"words": words_of}, sys.argv[1:])
    else:
        main()
