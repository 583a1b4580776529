"""Programs compiled to a Llama: `python benchmarks/llama.py`.

For every program of the gallery and each dtype: the parameters of the Llama, how many contexts were
tried and how many of them were answered wrong, or the first words of the refusal. Then rules over many
tokens, long contexts, and induction.
"""

from __future__ import annotations

import random
import runpy
import string
import time
from pathlib import Path

from measuring import print_table

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.errors import HandcraftError

ROOT = Path(__file__).resolve().parents[1]
DTYPES = ("float32", "bfloat16", "float16")
SAMPLE = 2_000


def gallery() -> list[tuple[str, Program]]:
    """The programs that come with handcraft, by name."""
    found = []
    for path in sorted((ROOT / "programs").glob("*.py")):
        program = runpy.run_path(str(path)).get("program")
        if isinstance(program, Program):
            found.append((path.stem, program))
    return found


def ngrams(count: int, length: int, tokens: str | list[str], seed: int = 0) -> Program:
    """Random n-gram rules."""
    draw, between = random.Random(seed), "" if isinstance(tokens, str) else " "
    patterns: dict[str, None] = {}
    while len(patterns) < count:
        patterns[between.join(draw.choice(tokens) for _ in range(length))] = None
    rules = [predict(draw.choice(tokens)).after(pattern) for pattern in patterns]
    return Program(tokens, 8, [*rules, predict(tokens[0]).otherwise()])


def induction(context: int) -> Program:
    """Induction over five tokens."""
    prompts = Prompts("abcde", context=context)
    token, position = prompts.token, prompts.position
    followed = select(token.at(-1, default="a"), token) & select(position, 0, ">")
    rules = [predict(followed.latest(token, default="a")).otherwise()]
    return Program(prompts=prompts, rules=rules)


def cell(program: Program, dtype: str, n_positions: int | None = None) -> str:
    """What became of one program in one dtype."""
    start = time.perf_counter()
    try:
        compiled = compile_program(program, architecture="llama", dtype=dtype, n_positions=n_positions)
    except HandcraftError as error:
        return f"refused: {type(error).__name__}"
    seconds = time.perf_counter() - start
    report = compiled.verify(sample=SAMPLE)
    return f"{compiled.model.parameters:,}; {report.failed} of {report.tried:,} wrong; {seconds:.1f} s"


def main() -> None:
    """Print the tables."""
    rows = [[name, *(cell(program, dtype) for dtype in DTYPES)] for name, program in gallery()]
    print_table(["program", *DTYPES], rows)
    words = [f"w{i}" for i in range(1000)]
    aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    larger: list[tuple[str, Program, int | None]] = [
        ("aab, 8,192 positions", aab, 8192),
        ("30 bigrams over 8 tokens", ngrams(30, 2, "abcdefgh"), None),
        ("1,000 trigrams over 26 tokens", ngrams(1000, 3, string.ascii_lowercase), None),
        ("1,000 bigrams over 1,000 words", ngrams(1000, 2, words), None),
        ("induction, 64 positions", induction(64), None),
        ("induction, 1,024 positions", induction(1024), None),
    ]
    print_table(
        ["rules", *DTYPES],
        [[name, *(cell(program, dtype, n) for dtype in DTYPES)] for name, program, n in larger],
    )


if __name__ == "__main__":
    main()
