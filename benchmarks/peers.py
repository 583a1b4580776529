"""Compile every program of the size table with Tracr and with handcraft, in turn, in one run.

    python benchmarks/peers.py PYTHON

PYTHON is the interpreter of an environment that has Tracr; `make bench-peers` makes one. Each row runs
in a process of its own with one thread, first theirs, then ours, so that both see the same machine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

from measuring import ONE_THREAD, MeasureError, measured, print_table
from size_table import ROWS, Ours, Row, Theirs, missed

HERE = Path(__file__).parent
PATIENCE = 190
"""So many seconds are waited for an answer of Tracr."""

QUICK = 20
"""What compiles in fewer seconds is compiled again, and the best of three counts."""

Found: TypeAlias = dict[str, Any]


def main(python: str) -> None:
    """Print the table."""
    print("### Beside Tracr\n")
    print(
        "The same programs by the library of [Tracr](https://github.com/google-deepmind/tracr), over\n"
        "26 tokens at length 50 unless it says otherwise, without a causal mask; ours in `block`.\n"
        "Both were compiled in this run, in turn, by `make bench-peers`. Counted are all parameters\n"
        "of embeddings, attention and MLPs. Seconds are to write and compile, the best of three after\n"
        f"a warm-up; a single run where Tracr takes more than {QUICK} s.\n"
    )
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.\n")
    rows, sentences = [], []
    for number, row in enumerate(ROWS):
        theirs = _theirs(python, row)
        ours = measured(str(HERE / "sequences.py"), "size", number, 0)
        cells, found = _cells(row, theirs, ours)
        rows.append(cells)
        sentences += found
    head = ["program", "Tracr: layers, width", "parameters", "s"]
    head += ["ours: layers, width", "parameters", "s", "times fewer parameters", "times faster"]
    print_table(head, rows)
    print("Where ours is not smaller, shallower and faster:\n")
    print("\n".join(sentences) or "nowhere.")


def _cells(row: Row, theirs: Found | str, ours: Found) -> tuple[list[str], list[str]]:
    seconds = ours["write"] + ours["compile"]
    mine = [f"{ours['layers']}, {ours['width']:,}", f"{ours['parameters']:,}", f"{seconds:.3f}"]
    if isinstance(theirs, str):
        return [row.name, "", "", theirs, *mine, "", ""], []
    fewer = theirs["parameters"] / ours["parameters"]
    faster = theirs["seconds"] / seconds
    cells = [
        row.name,
        f"{theirs['layers']}, {theirs['width']:,}",
        f"{theirs['parameters']:,}",
        f"{theirs['seconds']:.3g}",
        *mine,
        f"{fewer:,.{0 if fewer >= 100 else 2}f}",
        f"{faster:,.{0 if faster >= 100 else 1}f}",
    ]
    limits = Theirs(theirs["layers"], theirs["width"], theirs["parameters"], theirs["seconds"])
    found = missed(limits, Ours(ours["layers"], ours["width"], ours["parameters"], seconds))
    return cells, [f"- {row.name}: {goal}" for goal in found]


def _theirs(python: str, row: Row) -> Found | str:
    """What Tracr makes of a row, or why nothing."""
    first = _run(python, row, runs=0)
    if isinstance(first, str) or first["seconds"] > QUICK:
        return first
    return _run(python, row, runs=3)


def _run(python: str, row: Row, runs: int) -> Found | str:
    arguments = [row.write.__name__, str(row.tokens), str(row.context), str(runs)]
    command = [python, str(HERE / "tracr_side.py"), *arguments]
    environment = {**os.environ, **ONE_THREAD, "JAX_PLATFORMS": "cpu"}
    environment.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {PATIENCE}"
    if done.returncode:
        raise MeasureError(f"Tracr failed on {row.name}: {done.stderr.strip().splitlines()[-1:]}")
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/peers.py PYTHON, an interpreter that has Tracr")
    main(sys.argv[1])
