"""Programs over contexts of 1,024 tokens, proved from the finished files: `make bench-windows`.

Each program is compiled for gpt2 and written, and its folder proved, in a process of its own with one
thread. The smallest margin of random texts stands beside the proved one: half of them end in words that
a rule matches or, for induction, have few different words. The last row is GPT-2 small with a rule for
each of its hidden units, as `benchmarks/scale.py` makes it.
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
from words import induction, vocabulary

from handcraft import Program, predict

CONTEXT = 1_024

ROWS = ((2, 1), (4, 40), (50, 200), (200, 1_000), (5_000, 1_000))
"""Words of the vocabulary, and rules."""

INDUCTIONS = (3, 26, 1_000)
"""Sizes of the vocabularies of the induction programs."""

TEXTS = 200
"""How many texts of each kind are run. A text with few different words may be short."""

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


def echoes(size: int) -> list[tuple[str, ...]]:
    """Short texts of few words, most of which occur twice."""
    random = Random(3)
    words = [random.sample(vocabulary(size), 3) for _ in range(TEXTS)]
    return [tuple(random.choice(some) for _ in range(6)) for some in words]


def proved(number: int) -> dict[str, Any]:
    """Prove one program."""
    from handcraft import compile_program, save
    from handcraft_check.prove import prove

    size = ROWS[number][0] if number < len(ROWS) else INDUCTIONS[number - len(ROWS)]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        if number < len(ROWS):
            known = patterns(*ROWS[number])
            compiled = compile_program(program(*ROWS[number]), architecture="gpt2")
        else:
            known = echoes(size)
            made = induction(vocabulary(size), CONTEXT)
            compiled = compile_program(made, architecture="gpt2", tokens="binary")
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
            "seen": smallest_seen(folder, known),
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
    named = [(size, f"{count:,} rule{'s' if count > 1 else ''}") for size, count in ROWS]
    named += [(size, "induction") for size in INDUCTIONS]
    for number, (size, name) in enumerate(named):
        yield row(size, name, CONTEXT, proof_measured(__file__, number, SECONDS))
    yield row(scale.WORDS, f"{scale.RULES:,} rules", scale.LONGEST, of_gpt2_small())


def row(words: int, name: str, context: int, found: Mapping[str, Any]) -> tuple[str, ...]:
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
    return f"{words:,}", name, f"{context:,}", verdict_in_words(found), *shown


def main() -> None:
    """Print the table."""
    head = ("words", "program", "context", "verdict", "parameters", "cases", "proved margin")
    print_table((*head, "smallest seen", "s"), rows())


if __name__ == "__main__":
    if sys.argv[1:2] == ["proved"]:
        answer({"proved": proved}, sys.argv[1:])
    else:
        main()
