"""Pattern rules over contexts of 1,024 tokens, proved from the finished files: `make bench-windows`.

Each program is compiled for gpt2 and written, and its folder proved, in a process of its own with one
thread. The smallest margin of random texts, half of which end in what a rule matches, stands beside the
proved one. The last row is GPT-2 small with a rule for each of its hidden units, as
`benchmarks/scale.py` makes it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import scale
from judged_folders import Original, least_of
from measuring import MeasureError, answer, measured, print_table, proof_measured, verdict_in_words

from handcraft import Program, predict

CONTEXT = 1_024

ROWS = ((2, 1), (4, 40), (50, 200), (200, 1_000), (5_000, 1_000))
"""Words of the vocabulary, and rules."""

TEXTS = 200
"""How many texts of each kind are run; one of few tokens shows what one of many does."""

SECONDS = 600.0
"""What takes longer, compiling included, is given up."""


def patterns(size: int, count: int) -> list[tuple[str, ...]]:
    """So many different patterns of one to three words, the longest first; aa for two words."""
    if size == 2:
        return [("w0", "w0")]
    random, found = Random(0), dict[tuple[str, ...], None]()
    while len(found) < count:
        found[tuple(f"w{random.randrange(size)}" for _ in range(random.randint(1, 3)))] = None
    return sorted(found, key=len, reverse=True)


def program(size: int, count: int) -> Program:
    """A random word after each pattern, and w0 otherwise."""
    random = Random(1)
    rules = [
        predict(f"w{1 if size == 2 else random.randrange(size)}").after(" ".join(pattern))
        for pattern in patterns(size, count)
    ]
    words = [f"w{number}" for number in range(size)]
    return Program(words, CONTEXT, [*rules, predict("w0").otherwise()])


def proved(number: int) -> dict[str, Any]:
    """Prove one program."""
    from handcraft import compile_program, save
    from handcraft_check.prove import prove

    size, count = ROWS[number]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        compiled = compile_program(program(size, count), architecture="gpt2")
        save(compiled, folder)
        start = time.process_time()
        verdict = prove(folder)
        return {
            "verdict": verdict.word,
            "reason": verdict.reason,
            "parameters": compiled.model.parameters,
            "cases": verdict.cases,
            "margin": verdict.margin,
            "s": time.process_time() - start,
            "seen": smallest_seen(folder, patterns(size, count)),
        }


def smallest_seen(folder: Path, known: Sequence[tuple[str, ...]]) -> float:
    """The smallest margin of short texts, as NumPy computes them in float32."""
    from handcraft_check.claim import read_claim

    claim, files, random = read_claim(folder), Original.read(folder), Random(2)
    place = {token: i for i, token in enumerate(claim.meaning.vocabulary)}
    by_length: dict[int, list[list[int]]] = {}
    for number in range(2 * TEXTS):
        text = [random.randrange(len(place)) for _ in range(random.randint(number % 2, 2))]
        text += [] if number % 2 else [place[token] for token in random.choice(known)]
        by_length.setdefault(len(text), []).append(text)
    texts = [np.array(each) for each in by_length.values()]
    meant = [claim.token_ids[claim.meaning.answers(each).token] for each in texts]
    ids = [claim.token_ids[each] for each in texts]
    return least_of(files, [*zip(ids, meant, strict=True)])


def of_gpt2_small() -> dict[str, Any]:
    """What is proved of a rule for every hidden unit of GPT-2 small."""
    words = scale.made_up_words(scale.WORDS)
    pairs = scale.drawn_pairs(scale.RULES, scale.WORDS)
    try:
        measured(scale.__file__, "build", scale.RULES, scale.WORDS)
        found = measured(scale.__file__, "prove")
    except MeasureError as error:
        return {"verdict": "unproved", "reason": str(error)}
    known = [(words[one], words[other]) for one, other in pairs]
    return {**found, "parameters": 124_439_808, "seen": smallest_seen(scale.FOLDER / "model", known)}


def rows() -> Iterator[tuple[str, ...]]:
    """The rows of the table."""
    for number, (size, count) in enumerate(ROWS):
        yield row(size, count, CONTEXT, proof_measured(__file__, number, SECONDS))
    yield row(scale.WORDS, scale.RULES, scale.LONGEST, of_gpt2_small())


def row(words: int, rules: int, context: int, found: Mapping[str, Any]) -> tuple[str, ...]:
    """One row."""
    is_proved = found["verdict"] == "proved"
    cells = {
        "parameters": "{:,}",
        "cases": "{:,}",
        "margin": "{:.4f}" if is_proved else "",
        "seen": "{:.4f}",
        "s": "{:.1f}",
    }
    shown = [form.format(found[name]) if name in found else "" for name, form in cells.items()]
    return f"{words:,}", f"{rules:,}", f"{context:,}", verdict_in_words(found), *shown


def main() -> None:
    """Print the table."""
    head = ("words", "rules", "context", "verdict", "parameters", "cases", "proved margin")
    print_table((*head, "smallest seen", "s"), rows())


if __name__ == "__main__":
    if sys.argv[1:2] == ["proved"]:
        answer({"proved": proved}, sys.argv[1:])
    else:
        main()
