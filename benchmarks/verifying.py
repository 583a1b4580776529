"""How fast models are judged: contexts a second, and seconds to compile and save what is large.

Everything runs in one thread, each row in a process of its own. A context counts once the model and the
oracle were both asked about it. `make bench-verify` prints both tables.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import answer, measured, print_table
from scale import RULES, SHAPE, WORDS, drawn_pairs, made_up_words, rule_file

ROOT = Path(__file__).resolve().parents[1]

PROGRAMS = ("aab", "sort", "add", "caesar", "maximum")

HEAD = "vocabulary a b c\ncontext 1024\n"

FILES = {
    "patterns": "predict b after aa\npredict c after [ab]b\npredict a otherwise\n",
    "flags": "predict b after aa when position >= 3\npredict c when token 2 back is b\n"
    "predict the last token when a came before\npredict a otherwise\n",
    "lookups": "predict what followed last time otherwise a when position >= 3\n"
    "predict c after ab when token 2 back is b\npredict b when a came before\npredict a otherwise\n",
}
"""Rule files of a few lines, for a context of 1,024 tokens."""

ARCHITECTURES = ("gpt2", "block")


def contexts(number: int) -> dict[str, Any]:
    """Verify a shipped program; contexts and seconds."""
    from handcraft import compile_program
    from handcraft.verify import verify

    program = runpy.run_path(str(ROOT / "programs" / f"{PROGRAMS[number]}.py"))["program"]
    compiled = compile_program(program)
    start = time.process_time()
    report = verify(compiled.model, compiled.source)
    seconds = time.process_time() - start
    assert report.passed
    return {"contexts": report.tried + report.longer, "s": seconds}


def saved(text: str, **options: Any) -> dict[str, Any]:
    """Read, compile and save rules; seconds of each."""
    from handcraft import compile_program, parse_rules, save

    with TemporaryDirectory() as folder:
        start = time.process_time()
        program = parse_rules(text)
        read = time.process_time()
        compiled = compile_program(program, **options)
        made = time.process_time()
        save(compiled, Path(folder) / "model", like=options.get("like"))
        ended = time.process_time()
    return {"s to read": read - start, "s to compile": made - read, "s to save": ended - made}


def long_context(file: int, architecture: int) -> dict[str, Any]:
    """A rule file for a context of 1,024 tokens."""
    return saved(HEAD + [*FILES.values()][file], architecture=ARCHITECTURES[architecture])


def many_rules(rules: int, words: int) -> dict[str, Any]:
    """A rule for every hidden unit of GPT-2 small."""
    return saved(rule_file(drawn_pairs(rules, words), made_up_words(words)), like=SHAPE)


def main() -> None:
    """Print both tables."""
    rows = []
    for number, name in enumerate(PROGRAMS):
        found: Any = measured(__file__, "contexts", number)
        rate = found["contexts"] / found["s"]
        rows.append([name, f"{found['contexts']:,}", f"{found['s']:.2f}", f"{rate:,.0f}"])
    print_table(["verified", "contexts", "s", "contexts a second"], rows)
    made: dict[str, Any] = {
        f"four lines of {file}, context 1,024, {target}": measured(__file__, "long_context", i, j)
        for i, file in enumerate(FILES)
        for j, target in enumerate(ARCHITECTURES)
        if (file, target) != ("lookups", "gpt2")  # refused: LayerNorm leaves its scores too close
    }
    made[f"{RULES:,} rules in {SHAPE}"] = measured(__file__, "many_rules", RULES, WORDS)
    columns = ("s to read", "s to compile", "s to save")
    print_table(
        ["saved", *columns, "peak MB"],
        [
            [name, *(f"{each[column]:.1f}" for column in columns), str(each["peak MB"])]
            for name, each in made.items()
        ],
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measures = {"contexts": contexts, "long_context": long_context, "many_rules": many_rules}
        answer(measures, sys.argv[1:])
    else:
        main()
