"""Measure the programs of the gallery, and print docs/programs.md, with a picture of each.

The pictures are those of `make pictures`. Also writes programs/sizes.json, which `handcraft list`
shows. Every program is compiled for `gpt2`, and what it writes is compared with its meaning in plain
Python.
"""

from __future__ import annotations

import ast
import json
import runpy
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measuring import print_table
from proving import in_words

from handcraft import compile_program
from handcraft.circuits import Circuits
from handcraft.compiler import Compiled
from handcraft.errors import HandcraftError
from handcraft.language import Program
from handcraft.language.regular.matching import Matching
from handcraft.testing import assert_writes
from handcraft.verify import verify

FOLDER = Path(__file__).resolve().parents[1] / "programs"
DTYPES = ("float32", "bfloat16", "float16")
EVERY_UP_TO = 10_000_000
SAMPLE = 100_000
FEWER = (20_000, 10_000)
"""The same in the other dtypes, which NumPy runs slowly."""

WRITTEN = 200

HEAD = """# The gallery

Programs that come with handcraft, each short enough to read in a minute. `handcraft list` shows them,
`handcraft run NAME PROMPT` runs one, `handcraft compile NAME -o FOLDER` writes it as a GPT-2.

Each file in [programs/](../programs) contains a docstring that explains how the program works, the
rules, the prompts after which it writes (`starts`), and `meaning`, a plain Python function that
computes the same text without the language. `make programs` makes this page. It compiles every
program for `gpt2` and compares what the weights write, token by token, with the meaning: after every
prompt, or after as many random ones as the last column says; in bfloat16 and float16 after at most
20,000. A dtype that is not listed is refused by the compiler, with an error that names the sum or
score for which its precision is too low. `tests/judges/test_programs.py` generates with transformers.

`make bench-prove` decides from the finished weights whether the answers are right after all allowed
prompts, and by which margin: see [proof.md](proof.md). Where it finds no proof, it says why, and the
answers are sampled.

Tokens a second are those of one text, with a cache, in NumPy.
"""


def main(every_up_to: int, sample: int) -> None:
    """Print the page: the table, a row for each program, and what each of them does."""
    rows, sizes = [], {}
    proofs = json.loads((FOLDER / "proofs.json").read_text(encoding="utf-8"))
    print(HEAD)
    for path in sorted(FOLDER.glob("*.py")):
        known = runpy.run_path(str(path))
        source = known.get("program", known.get("circuits"))
        start = time.perf_counter()
        compiled = compile_program(source)
        seconds = time.perf_counter() - start
        sizes[path.stem] = size_of(compiled)
        tried = {
            dtype: _tried(
                known, source, dtype, *((every_up_to, sample) if dtype == "float32" else FEWER)
            )
            for dtype in DTYPES
        }
        rows.append(
            [
                f"[{path.stem}](#{path.stem})",
                str(len(source.rules)) if isinstance(source, Program) else "by hand",
                str(sizes[path.stem]["blocks"]),
                str(sizes[path.stem]["width"]),
                str(sizes[path.stem]["heads"]),
                f"{sum(len(block.neurons) for block in compiled.circuits.blocks):,}",
                f"{sizes[path.stem]['parameters']:,}",
                f"{compiled.model.nonzero_parameters:,}",
                f"{seconds:.2f}",
                f"{_tokens_a_second(compiled):,.0f}",
                ", ".join(dtype for dtype, prompts in tried.items() if prompts) or "none",
                in_words(proofs.get(path.stem)),
                tried["float32"],
            ]
        )
        print(rows[-1][0], file=sys.stderr, flush=True)
    print_table(
        ["program", "rules", "blocks", "width", "heads", "neurons", "parameters", "not 0",
         "s to compile", "tokens a second", "dtypes it compiles for", "all prompts, float32",
         "prompts tried, float32"],
        rows,
    )  # fmt: skip
    print_sections(sizes)
    (FOLDER / "sizes.json").write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


def print_sections(sizes: Mapping[str, Mapping[str, int]]) -> None:
    """For each program how it works, what it costs, and its picture.

    Args:
        sizes: of every program, as `size_of` gives them.
    """
    for path in sorted(FOLDER.glob("*.py")):
        known = runpy.run_path(str(path))
        title, _, idea = (
            ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        ).partition("\n\n")
        print(f"## {path.stem}\n\n{title}\n\n{idea}\n")
        if isinstance(known.get("starts"), str):
            print(
                f"It writes after `{known['starts']}`: "
                f"[programs/{path.name}](../programs/{path.name}).\n"
            )
        source = known.get("program", known.get("circuits"))
        print(f"It costs {_in_words(sizes[path.stem])}{_optimized(source)}.\n")
        print(f"![Picture of {path.stem}](pictures/programs/{path.stem}.svg)\n")


def _in_words(size: Mapping[str, int]) -> str:
    """The size of a GPT-2 in words."""
    blocks, heads = (_count(size[what], what[:-1]) for what in ("blocks", "heads"))
    return f"{blocks} of width {size['width']}, {heads} and {size['parameters']:,} parameters"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _optimized(source: Program | Circuits) -> str:
    """What the program costs with `--optimize`, where that finds something to leave out."""
    compiled = compile_program(source, optimize=True)
    if len(compiled.passes) < 2:
        return ""
    return f"; with `--optimize` {_in_words(size_of(compiled))}"


def size_of(compiled: Compiled) -> dict[str, int]:
    """What `handcraft list` shows of a program."""
    shape = compiled.model.shape
    return {
        "blocks": shape.n_layer,
        "width": shape.n_embd,
        "heads": sum(len(block.heads) for block in compiled.circuits.blocks),
        "parameters": compiled.model.parameters,
    }


def _tried(known: dict[str, Any], source: Any, dtype: str, every_up_to: int, sample: int) -> str:
    """How many prompts were tried, all of them right; nothing where the compiler refuses."""
    try:
        compiled = compile_program(source, dtype=dtype)
    except HandcraftError:
        return ""
    if "meaning" not in known:
        report = verify(compiled.model, source, sample=2_000)
        return f"{report.tried:,} contexts" if report.passed else ""
    starts, longest = known["starts"], source.context
    every = not isinstance(starts, str)
    if isinstance(starts, str):
        every = Matching(starts, source.vocabulary, longest).count <= every_up_to
    tried = assert_writes(
        compiled.model,
        known["meaning"],
        starts,
        longest=longest,
        every_up_to=every_up_to,
        sample=sample,
    )
    return f"{'all ' if every else ''}{tried:,}"


def _tokens_a_second(compiled: Compiled) -> float:
    """One text, with a cache, as far as there is room."""
    room = min(WRITTEN, compiled.model.shape.n_positions - 1)
    first = compiled.model.vocabulary.tokens[0]
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        compiled.complete(first, n=room)
        best = max(best, room / (time.perf_counter() - start))
    return best


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3])) if len(sys.argv) > 2 else main(EVERY_UP_TO, SAMPLE)
