"""The same n-gram rules as patterns, read as expressions, and with one condition among them.

Prints a table of what each costs: blocks, width, parameters, and seconds to compile, in block and gpt2.
"""

from __future__ import annotations

import sys
from itertools import product
from random import Random
from time import perf_counter
from typing import Any

from measuring import answer, measured, print_table

from handcraft import Program, Prompts, compile_program, predict

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CONTEXT = 8
CASES = ((40, 2, 8), (60, 2, 8), (100, 3, 8), (1_000, 3, 26), (10_000, 3, 26))
"""How many rules, how many letters each reads, and how many letters there are."""

KINDS = ("patterns", "as expressions", "with one condition")
TARGETS = ("block", "gpt2")


def written(rules: int, length: int, size: int, kind: int) -> Program:
    """A program of one kind: random letters after random patterns, all different."""
    chosen, letters = Random(0), LETTERS[:size]
    every = ["".join(pattern) for pattern in product(letters, repeat=length)]
    patterns = sorted(chosen.sample(every, rules))
    known = [predict(chosen.choice(letters)).after(pattern) for pattern in patterns]
    known.append(predict(letters[0]).otherwise())
    if not kind:
        return Program(letters, CONTEXT, known)
    prompts = Prompts(letters, context=CONTEXT)
    late = predict(letters[1]).when(prompts.position >= CONTEXT - 1)
    return Program(prompts=prompts, rules=known if kind == 1 else [late, *known])


def compiling(rules: int, length: int, size: int, kind: int, target: int) -> dict[str, Any]:
    """What a program costs."""
    program = written(rules, length, size, kind)
    start = perf_counter()
    compiled = compile_program(program, architecture=TARGETS[target], n_positions=CONTEXT)
    seconds = perf_counter() - start
    return {
        "blocks": compiled.model.shape.n_layer,
        "width": compiled.model.shape.n_embd,
        "parameters": compiled.model.parameters,
        "s": seconds,
    }


def main() -> None:
    """Print the table."""
    rows = []
    for case in CASES:
        for target, kind in product(range(len(TARGETS)), range(len(KINDS))):
            found = measured(__file__, "compiling", *case, kind, target)
            named = [f"{case[0]:,}", f"{case[1]} of {case[2]}", TARGETS[target], KINDS[kind]]
            sizes = [f"{found[key]:,}" for key in ("blocks", "width", "parameters")]
            rows.append([*named, *sizes, f"{found['s']:.2f}"])
    heads = ["rules", "letters read", "target", "written as", "blocks", "width", "parameters", "s"]
    print_table(heads, rows)


if __name__ == "__main__":
    if sys.argv[1:]:
        answer({"compiling": compiling}, sys.argv[1:])
    else:
        main()
