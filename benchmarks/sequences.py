"""Measure sequence expressions on this machine, and print their tables in docs/benchmarks.md.

Every row runs in a process of its own with one thread. Nothing here decides a test;
`tests/acceptance/test_size_table.py` does, of sizes and of answers, never of times.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from typing import Any, TypeAlias

from measuring import Measure, MeasureError, answer, measured, print_table
from size_table import (
    CAUSAL_ROWS,
    LONG_ROWS,
    ROWS,
    Row,
    causally,
    count_a,
    distinct_text,
    histogram,
    inputs,
    reverse,
    sort_distinct,
)

from handcraft import Expression, HandcraftError, Prompts
from handcraft.compiler import CompiledSequences, compile_sequences

LENGTHS = (5, 10, 20, 50)
LONG_LENGTHS = (100, 300, 1000)
INPUTS, LONG_INPUTS = 200, 20
MOST_SECONDS = 120

Found: TypeAlias = dict[str, Any]

ARCHITECTURES = ("block", "gpt2")
"""The first without a causal mask, the second with one."""


# measures


def size(number: int, architecture: int) -> Found:
    """The size of a row, and the best of three times to write and to compile it, after a warm-up."""
    row = ROWS[number]
    best = (float("inf"), 0.0, 0.0)
    for run in range(4):
        prompts = row.prompts(causal=bool(architecture))
        start = time.perf_counter()
        expression = row.write(prompts)
        written = time.perf_counter()
        compiled = compile_sequences({"value": expression}, architecture=ARCHITECTURES[architecture])
        done = time.perf_counter()
        if run:
            best = min(best, (done - start, written - start, done - written))
    return {**_size(compiled), "write": best[1], "compile": best[2]}


def exact(number: int, architecture: int, context: int, tokens: int) -> Found:
    """How many of 200 random texts of each length the model gets wrong."""
    row = ROWS[number]
    lengths = [n for n in LENGTHS if n <= context and (row.draw is not distinct_text or n <= tokens)]
    return _wrong(row, architecture, context, tokens, lengths, INPUTS)


def exact_long(number: int, architecture: int) -> Found:
    """How many of 20 random long texts the model gets wrong."""
    row = LONG_ROWS[number]
    return _wrong(row, architecture, row.context, row.tokens, LONG_LENGTHS, LONG_INPUTS)


def grow(number: int, tokens: int, context: int) -> Found:
    """The size of a program over so many tokens and positions, and one time to compile it."""
    write = GROWING[list(GROWING)[number]]
    start = time.perf_counter()
    expression = write(Prompts(["a", *map(str, range(1, tokens))], context, causal=False))
    written = time.perf_counter()
    compiled = compile_sequences({"value": expression})
    done = time.perf_counter()
    return {**_size(compiled), "write": written - start, "compile": done - written}


def _size(compiled: CompiledSequences) -> Found:
    shape = compiled.model.shape
    return {"layers": shape.n_layer, "width": shape.n_embd, "parameters": compiled.model.parameters}


def _wrong(
    row: Row, architecture: int, context: int, tokens: int, lengths: Sequence[int], count: int
) -> Found:
    causal = bool(architecture)
    prompts = row.prompts(causal=causal, context=context, tokens=tokens)
    try:
        compiled = compile_sequences(
            {"value": row.write(prompts)}, architecture=ARCHITECTURES[architecture]
        )
    except HandcraftError as error:
        return {"refused": error.what, "wrong": {}, "example": ""}
    wrong: dict[int, int] = {}
    example = ""
    for length in lengths:
        wrong[length] = 0
        for text in inputs(row, length, count, tokens):
            means = tuple(causally(row.meaning, text) if causal else row.meaning(text))
            (says,) = compiled.apply([text])["value"]
            wrong[length] += says != means
            if says != means and not example:
                at = next(i for i in range(length) if says[i] != means[i])
                example = (
                    f"{''.join(text[:20])}{'...' * (length > 20)} of {length} tokens has {says[at]} "
                    f"at position {at}, where it means {means[at]}"
                )
    return {"refused": "", "wrong": wrong, "example": example}


def look_back(prompts: Prompts) -> Expression:
    """The token before this one."""
    return prompts.token.at(-1, default="a")


GROWING = {
    "histogram": histogram,
    "reverse": reverse,
    "sort of distinct keys": sort_distinct,
    "look back": look_back,
    "count of a token": count_a,
}

GROWTHS = ((10, 64), (100, 64), (1000, 64), (100, 16), (100, 256), (100, 1024), (1000, 1024))
"""Tokens and context: the vocabulary grows, then the context, then both."""

MEASURES: dict[str, Measure] = {
    "size": size,
    "exact": exact,
    "exact_long": exact_long,
    "grow": grow,
}


# tables

SIZES = """### Sizes

Over 26 tokens at length 50 unless it says otherwise, in `block` without a causal mask.
`make bench-peers` compiles the same programs with Tracr too.
"""

CAUSAL_SIZES = """### With a causal mask, in `gpt2`
"""

EXACT = f"""### Exact at length

Wrong answers in {INPUTS} random texts of each length, all positions of a text together, in float32
against the same said in plain Python; `block` without a causal mask, `gpt2` with one. Texts have few or
many different tokens, the first has one only; those of the sort of distinct keys have none twice.
"""

LONG = f"""### Counts in long texts

The same of {LONG_INPUTS} texts of each length, with a context of 1,000.
"""

GROWTH = f"""### Growth

In `block` without a causal mask, compiled once in a fresh process, in at most {MOST_SECONDS} s.
Python, NumPy and handcraft hold about 40 MB before anything is compiled.
"""


def main() -> None:
    """Print every table of the section."""
    print("## Sequence expressions\n")
    print("Made by `make bench-sequences` in one run, each row in its own process with one thread.\n")
    cores = os.cpu_count()
    print(f"Python {platform.python_version()}, {platform.machine()}, {cores} cores.\n")
    _print_sizes()
    _print_causal_sizes()
    _print_exact()
    _print_long()
    _print_growth()


def _print_sizes() -> None:
    print(SIZES)
    rows = [[row.name, *_shown(_found("size", number, 0))] for number, row in enumerate(ROWS)]
    print_table(["program", *HEAD], rows)


def _print_causal_sizes() -> None:
    print(CAUSAL_SIZES)
    rows = [[row.name, *_shown(_found("size", ROWS.index(row), 1))] for row in CAUSAL_ROWS]
    print_table(["program", *HEAD], rows)


def _print_exact() -> None:
    print(EXACT)
    rows, examples = [], []
    done: set[object] = set()
    for number, row in enumerate(ROWS):
        wider = 2 * row.tokens if row.draw is distinct_text else row.tokens
        cases = [(0, row.context, row.tokens), (0, LENGTHS[-1], wider)]
        if row in CAUSAL_ROWS:
            cases.append((1, row.context, row.tokens))
        for architecture, context, tokens in cases:
            if (row.write, architecture, context, tokens) in done:
                continue
            done.add((row.write, architecture, context, tokens))
            found = _found("exact", number, architecture, context, tokens)
            program = row.name.split(",")[0]
            said = [program, ARCHITECTURES[architecture], str(tokens), str(context)]
            rows.append([*said, *_shown_wrong(found, LENGTHS)])
            examples += _examples(found, said)
    print_table(["program", "in", "tokens", "context", *map(str, LENGTHS)], rows)
    _print_examples(examples)


def _print_long() -> None:
    print(LONG)
    rows, examples = [], []
    for architecture, named in enumerate(ARCHITECTURES):
        for number, row in enumerate(LONG_ROWS):
            found = _found("exact_long", number, architecture, most_seconds=5 * MOST_SECONDS)
            rows.append([row.name, named, *_shown_wrong(found, LONG_LENGTHS)])
            examples += _examples(found, [row.name, named])
    print_table(["program", "in", *map(str, LONG_LENGTHS)], rows)
    _print_examples(examples)


def _shown_wrong(found: Found | str, lengths: Sequence[int]) -> list[str]:
    if isinstance(found, str):
        return [found] * len(lengths)
    if found["refused"]:
        return ["refused"] * len(lengths)
    return [str(found["wrong"].get(str(n), "")) for n in lengths]


def _examples(found: Found | str, said: Sequence[str]) -> list[str]:
    if isinstance(found, str):
        return []
    what = found["refused"] or found["example"]
    return [f"- {', '.join(said)}: {' '.join(what.split())}"] if what else []


def _print_examples(examples: Sequence[str]) -> None:
    if examples:
        print("Refused, or the first wrong answer:\n\n" + "\n".join(examples) + "\n")


def _print_growth() -> None:
    print(GROWTH)
    rows = []
    for number, name in enumerate(GROWING):
        for tokens, context in GROWTHS:
            found = _found("grow", number, tokens, context, most_seconds=MOST_SECONDS)
            rows.append([name, f"{tokens:,}", f"{context:,}", *_shown(found)])
    print_table(["program", "tokens", "context", *HEAD], rows)


HEAD = ("layers, width", "parameters", "s to write", "s to compile", "peak MB")


def _shown(found: Found | str) -> list[str]:
    if isinstance(found, str):
        return [found, "", "", "", ""]
    return [
        f"{found['layers']}, {found['width']:,}",
        f"{found['parameters']:,}",
        f"{found['write']:.3f}",
        f"{found['compile']:.3f}",
        f"{found['peak MB']:,}",
    ]


def _found(name: str, *arguments: int, most_seconds: float | None = None) -> Found | str:
    """What a measure found, or why it found nothing."""
    try:
        return measured(__file__, name, *arguments, most_seconds=most_seconds)
    except MeasureError as error:
        return str(error)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        answer(MEASURES, sys.argv[1:])
    else:
        main()
