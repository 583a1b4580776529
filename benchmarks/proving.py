"""How much of the gallery is proved, and how long that takes: `make bench-prove`, or names of programs.

Each program is compiled for gpt2, written, and proved from its files in a process of its own with one
thread. The smallest margin of 2,000 random contexts, run in NumPy, stands beside the proved one.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import MeasureError, answer, measured, print_table

ROOT = Path(__file__).resolve().parents[1]

NAMES = sorted(path.stem for path in (ROOT / "programs").glob("*.py"))

CONTEXTS = 2_000

SECONDS = 75.0
"""A program that takes longer, compiling included, is given up."""


def proved(number: int) -> dict[str, Any]:
    """Prove one program of the gallery."""
    from handcraft import compile_program, save
    from handcraft_check.prove import prove, read_claim

    program = runpy.run_path(str(ROOT / "programs" / f"{NAMES[number]}.py")).get("program")
    if program is None or not hasattr(program, "rules"):
        return {"verdict": "laid out by hand"}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        save(compile_program(program), folder)
        if not (folder / "certificate.json").exists():
            return {"verdict": "no certificate"}
        start = time.process_time()
        verdict = prove(folder)
        seconds = time.process_time() - start
        found = {
            "verdict": verdict.word
            if verdict.word == "proved"
            else f"{verdict.word}: {verdict.reason}",
            "inputs": verdict.inputs,
            "writes": verdict.writes,
            "cases": verdict.cases,
            "margin": verdict.margin,
            "s": seconds,
        }
        if verdict.word == "proved":
            found["seen"] = smallest_seen(read_claim(folder))
        return found


def smallest_seen(claim: Any) -> float:
    """The smallest margin of random contexts, from the centers of what the checker computes."""
    random, domain = np.random.default_rng(0), claim.domain
    smallest = np.inf
    for _ in range(CONTEXTS // 20):
        state, places = 0, []
        while len(places) <= domain.length - domain.writes:
            followers = np.flatnonzero(domain.next[state] >= 0)
            if not len(followers):
                break
            places.append(int(random.choice(followers)))
            state = int(domain.next[state, places[-1]])
            if domain.final[state]:
                right = int(claim.token_ids[int(claim.meaning.answers(np.array([places])).token[0])])
                logits = claim.model.run(claim.token_ids[places]).center
                smallest = min(smallest, float(logits[right] - np.delete(logits, right).max()))
    return smallest


def row(number: int) -> tuple[str, ...]:
    """One row of the table."""
    try:
        found: dict[str, Any] = measured(__file__, "proved", number, most_seconds=SECONDS)
    except MeasureError as error:
        found = {"verdict": f"unproved: {error}"}
    numbers = ("inputs", "writes", "cases")
    cells = [f"{found[name]:,}" if found.get(name) is not None else "" for name in numbers]
    margins = [
        f"{found[name]:.4f}" if name in found and found["verdict"] == "proved" else ""
        for name in ("margin", "seen")
    ]
    seconds = f"{found['s']:.1f}" if "s" in found else ""
    return (NAMES[number], found["verdict"], *cells, *margins, seconds)


def main() -> None:
    """Print the table."""
    chosen = sys.argv[1:] or NAMES
    head = ("program", "verdict", "inputs", "writes", "cases", "proved margin", "smallest seen", "s")
    print_table(head, map(row, map(NAMES.index, chosen)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["proved"]:
        answer({"proved": proved}, sys.argv[1:])
    else:
        main()
