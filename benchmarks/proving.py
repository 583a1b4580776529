"""How much of the gallery is proved, and how long that takes: `make bench-prove`, or names of programs.

Each program is compiled for gpt2, or for what --architecture names, with --optimize if that is asked
for, written, and proved from its files in a process of its own with one thread. The smallest margin of
some contexts, run in NumPy, stands beside the proved one: of the one for which the proof found least,
and of random ones. What is found for gpt2 without --optimize is written to programs/proofs.json, which
`handcraft list` shows, and to docs/programs.md.
"""

from __future__ import annotations

import argparse
import json
import re
import runpy
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import answer, print_table, proof_measured, verdict_in_words

from handcraft_check.program.words import at_least, at_most
from handcraft_check.refute import is_context

ROOT = Path(__file__).resolve().parents[1]

NAMES = sorted(path.stem for path in (ROOT / "programs").glob("*.py"))

ARCHITECTURES = ("gpt2", "block", "llama")

WAYS = tuple((name, optimize) for optimize in (False, True) for name in ARCHITECTURES)
"""How a program is compiled: for what, and whether with --optimize."""

CONTEXTS = 2_000
"""How many random contexts are run, or about so many, if that takes no more than `SEARCH_SECONDS`."""

SEARCH_SECONDS = 5.0

SECONDS = 75.0
"""A program that takes longer, compiling included, is given up, unless --seconds says otherwise."""


def proved(number: int) -> dict[str, Any]:
    """Prove one program, compiled in one way: number = way * programs + program."""
    from handcraft import compile_program, save
    from handcraft.circuits import Circuits
    from handcraft_check.claim import read_claim
    from handcraft_check.prove import prove

    place, number = divmod(number, len(NAMES))
    file = runpy.run_path(str(ROOT / "programs" / f"{NAMES[number]}.py"))
    source, meaning = file.get("program") or file["circuits"], file.get("means")
    architecture, optimize = WAYS[place]
    if isinstance(source, Circuits) and architecture == "llama":
        return {"verdict": "laid out by hand for a GPT-2"}
    compiled = compile_program(source, architecture=architecture, optimize=optimize)
    if optimize and (not compiled.passes or compiled.passes[0].did == "nothing"):
        return {"verdict": "the same as without --optimize"}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        save(compiled, folder, meaning=meaning)
        if not (folder / "certificate.json").exists():
            return {"verdict": "unproved", "reason": "it has no certificate"}
        start = time.process_time()
        verdict = prove(folder)
        seconds = time.process_time() - start
        found = {
            "verdict": verdict.word,
            "reason": verdict.reason,
            "inputs": verdict.inputs,
            "writes": verdict.writes,
            "cases": verdict.cases,
            "margin": verdict.margin,
            "s": seconds,
            **({} if verdict.within is None else {"distance": verdict.distance}),
        }
        if verdict.word == "proved":
            found["seen"] = smallest_seen(read_claim(folder), verdict.context)
        return found


def smallest_seen(claim: Any, worst: Sequence[str]) -> float:
    """The smallest margin of some contexts, from the centers of what the checker computes.

    Args:
        claim: of a folder.
        worst: where the proved margin is least: one of the contexts, if it is one; the others are
            random inputs, and what the program writes after them.
    """
    random, domain = np.random.default_rng(0), claim.domain
    smallest, start = np.inf, time.process_time()
    places = [claim.meaning.vocabulary.index(token) for token in worst]
    if is_context(claim, places):
        smallest = _margin(claim, places)[0]
    for _ in range(CONTEXTS // 20):
        if time.process_time() > start + SEARCH_SECONDS:
            break
        state, places, answer, is_input = 0, [], 0, False
        while len(places) <= domain.length - domain.writes:
            followers = np.flatnonzero(domain.next[state] >= 0)
            if not len(followers):
                break
            places.append(int(random.choice(followers)))
            state = int(domain.next[state, places[-1]])
            is_input = bool(domain.final[state])
            if is_input:
                margin, answer = _margin(claim, places)
                smallest = min(smallest, margin)
        for _ in range(domain.writes - 1 if is_input else 0):
            places.append(answer)
            margin, answer = _margin(claim, places)
            smallest = min(smallest, margin)
    return smallest


def _margin(claim: Any, places: list[int]) -> tuple[float, int]:
    """How far tokens that may follow are above all others, and the place of the most probable one."""
    logs = claim.judge.logs_of(int(claim.meaning.answers(np.array([places])).codes[0]))
    logits, may = claim.model.run(claim.token_ids[places]).center, logs > -np.inf
    margin = logits[may].min() - logits[~may].max(initial=-np.inf)
    return float(margin), int(logs[claim.token_ids].argmax())


def write_proofs(measures: dict[str, dict[str, Any]]) -> None:
    """Add what was found to programs/proofs.json, and to its column in docs/programs.md."""
    path = ROOT / "programs" / "proofs.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for name, found in measures.items():
        known[name] = {key: found[key] for key in KEPT[found["verdict"]] if key in found}
    proofs = {name: known[name] for name in NAMES if name in known}
    path.write_text(json.dumps(proofs, indent=1) + "\n", "utf-8")
    page = ROOT / "docs" / "programs.md"
    lines = page.read_text("utf-8").split("\n")
    for i, line in enumerate(lines):
        named = re.match(r"\| \[(\w+)\]\(#\1\) ", line)
        if named:
            cells = line.split(" | ")
            cells[-2] = in_words(proofs.get(named[1]))
            lines[i] = " | ".join(cells)
    page.write_text("\n".join(lines), "utf-8")


def in_words(proof: dict[str, Any] | None) -> str:
    """What the table of the gallery says of a proof."""
    if proof is None:
        return ""
    if proof["verdict"] == "proved":
        far = f", within {at_most(proof['distance'])}" if "distance" in proof else ""
        return f"proved, by {at_least(proof['margin'])}{far}"
    return f"sampled: {proof['reason']}"


KEPT = {
    "proved": ("verdict", "inputs", "writes", "margin", "distance"),
    "unproved": ("verdict", "inputs", "writes", "reason"),
    "refuted": ("verdict", "inputs", "writes", "reason"),
}
"""What is kept of each verdict."""


def row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    """One row of the table."""
    numbers = ("inputs", "writes", "cases")
    cells = [f"{found[name]:,}" if found.get(name) is not None else "" for name in numbers]
    margins = [
        f"{found[name]:.4f}" if name in found and found["verdict"] == "proved" else ""
        for name in ("margin", "seen")
    ]
    seconds = f"{found['s']:.1f}" if "s" in found else ""
    return (name, verdict_in_words(found), *cells, *margins, seconds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="programs; by default all")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the most for each program")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="gpt2")
    parser.add_argument("--optimize", action="store_true", help="numeric answers as one scalar")
    given = parser.parse_args()
    way = given.architecture, given.optimize
    behind = WAYS.index(way) * len(NAMES)
    measures: dict[str, dict[str, Any]] = {}

    def rows() -> Iterator[tuple[str, ...]]:
        for name in given.names or NAMES:
            measures[name] = proof_measured(__file__, NAMES.index(name) + behind, given.seconds)
            if way == WAYS[0]:
                write_proofs(measures)
            yield row(name, measures[name])

    head = ("program", "verdict", "inputs", "writes", "cases", "proved margin", "smallest seen", "s")
    print_table(head, rows())


if __name__ == "__main__":
    if sys.argv[1:2] == ["proved"]:
        answer({"proved": proved}, sys.argv[1:])
    else:
        main()
