"""Measures in processes of their own, with one thread each, and the tables they are printed in."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

Measure = Callable[..., dict[str, Any]]


class MeasureError(Exception):
    """A measure did not come to an end, or failed; the message says which."""


def measured(
    file: str, name: str, *arguments: int, most_seconds: float | None = None
) -> dict[str, object]:
    """Run one measure of a file in a fresh process.

    Args:
        file: the script, which hands its arguments to `answer`.
        name: of the measure.
        arguments: of the measure.
        most_seconds: after so long it is ended; None for no limit.

    Raises:
        MeasureError: it took longer, or it failed.
    """
    command = [sys.executable, file, name, *map(str, arguments)]
    environment = {**os.environ, **ONE_THREAD}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=most_seconds
        )
    except subprocess.TimeoutExpired:
        raise MeasureError(f"more than {most_seconds:.0f} s") from None
    if done.returncode:
        sys.stderr.write(done.stderr)
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
        raise MeasureError(f"failed: {last[0]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))  # before it a solver may say its name


def proof_measured(file: str, number: int, seconds: float) -> dict[str, Any]:
    """What the measure `proved` of a file finds; unproved, with the reason, where it does not end.

    Args:
        file: the script.
        number: of the program.
        seconds: after so long it is given up, compiling included.
    """
    try:
        return measured(file, "proved", number, most_seconds=seconds)
    except MeasureError as error:
        return {"verdict": "unproved", "reason": str(error)}


def verdict_in_words(found: Mapping[str, Any]) -> str:
    """The verdict of a proof, and the reason if there is one."""
    return ": ".join(filter(None, (found["verdict"], found.get("reason"))))


def answer(measures: Mapping[str, Measure], arguments: Sequence[str]) -> None:
    """Run the measure that the command line asks for, and print what it found and its peak memory."""
    found = measures[arguments[0]](*map(int, arguments[1:]))
    print(json.dumps({**found, "peak MB": peak_memory()}))


def median(work: Callable[[], object], runs: int) -> float:
    """The median time of `runs` runs in seconds, after one that does not count."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_memory() -> int:
    """The most memory that this process or a child of it has held, in MB."""
    import resource

    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in who) // unit


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as Markdown."""
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)
