"""Programs over contexts of 1,024 tokens, proved from the finished files: `make bench-windows`.

Each program is compiled for gpt2 and written, and its folder proved, in a process of its own with one
thread. The smallest margin of some texts stands beside the proved one: texts that end in what random
rules match, and short texts of few words for induction.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import answer, print_table, proof_measured, verdict_in_words
from words import induction, vocabulary

from handcraft import Program, predict

CONTEXT = 1_024

ROWS = ((2, 1), (4, 40), (50, 200), (200, 1_000), (5_000, 1_000))
"""Words of the vocabulary, and rules."""

INDUCTIONS = (3, 26, 1_000)
"""Words of the vocabulary of programs that predict what followed last time."""

TEXTS = 200
"""How many texts are run; one of few tokens shows what one of many does, after the first few."""

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
    from handcraft_check.claim import read_claim
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
            "seen": smallest_seen(read_claim(folder), known),
        }


def smallest_seen(claim: Any, known: list[tuple[str, ...]]) -> float:
    """The smallest margin of short texts, from the centers of what the checker computes."""
    random, smallest = Random(2), np.inf
    place = {token: i for i, token in enumerate(claim.meaning.vocabulary)}
    for _ in range(TEXTS):
        text = [random.randrange(len(place)) for _ in range(random.randint(0, 2))]
        text += [place[token] for token in random.choice(known)]
        right = int(claim.token_ids[int(claim.meaning.answers(np.array([text])).token[0])])
        logits = claim.model.run(claim.token_ids[text]).center
        smallest = min(smallest, float(logits[right] - np.delete(logits, right).max()))
    return smallest


def rows() -> Iterator[tuple[str, ...]]:
    """The rows of the table."""
    named = [(f"{size:,}", f"{count:,} rule{'s' if count > 1 else ''}") for size, count in ROWS]
    named += [(f"{size:,}", "induction") for size in INDUCTIONS]
    for number, names in enumerate(named):
        found = proof_measured(__file__, number, SECONDS)
        is_proved = found["verdict"] == "proved"
        cells = {
            "parameters": "{:,}",
            "cases": "{:,}",
            "margin": "{:.4f}" if is_proved else "",
            "seen": "{:.4f}",
            "s": "{:.1f}",
        }
        shown = [form.format(found[name]) if name in found else "" for name, form in cells.items()]
        yield *names, verdict_in_words(found), *shown


def main() -> None:
    """Print the table."""
    head = ("words", "program", "verdict", "parameters", "cases", "proved margin", "smallest seen", "s")
    print_table(head, rows())


if __name__ == "__main__":
    if sys.argv[1:2] == ["proved"]:
        answer({"proved": proved}, sys.argv[1:])
    else:
        main()
