"""Measure handcraft on this machine and print the tables of docs/benchmarks.md.

Every row runs in a process of its own with one thread, so that peak memory is its own and rows
compare. Nothing here decides a test.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def compile_aab() -> dict[str, object]:
    """Compile programs/aab.py after import."""
    from handcraft import Program, compile_program, predict

    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    return {"ms": round(_median(lambda: compile_program(program), 21) * 1000, 2)}


def run_from_shell() -> dict[str, object]:
    """`handcraft run programs/aab.py aab`, as a whole process."""
    command = [sys.executable, "-m", "handcraft", "run", str(ROOT / "programs/aab.py"), "aab"]
    return {"s": round(_median(lambda: subprocess.run(command, check=True, stdout=-3), 7), 3)}


def forward() -> dict[str, object]:
    """65,536 contexts of length 16 through a one-block model."""
    import numpy as np

    from handcraft import Program, compile_program, predict

    rules = [predict("b").after("aa"), predict("b").after("bab"), predict("a").otherwise()]
    model = compile_program(Program("ab", 16, rules)).model
    numbers = np.arange(1 << 16)
    contexts = numbers[:, None] >> np.arange(16) & 1  # every context of 16 tokens over two
    seconds = _median(lambda: model.forward(contexts), 3)
    return {"s": round(seconds, 2), "contexts a second": round(len(contexts) / seconds)}


def verify_all() -> dict[str, object]:
    """All 131,070 contexts of up to 16 tokens over two, model and oracle."""
    from handcraft import Program, compile_program, predict
    from handcraft.verify import verify

    rules = [predict("b").after("aa"), predict("b").after("bab"), predict("a").otherwise()]
    program = Program("ab", 16, rules)
    model = compile_program(program).model
    return {"s": round(_median(lambda: verify(model, program), 3), 2)}


def compile_ngrams(count: int) -> dict[str, object]:
    """Compile `count` trigram rules over 26 letters, built, checked and compiled."""
    import random
    import string
    from itertools import product

    from handcraft import Program, compile_program, predict

    letters = string.ascii_lowercase
    chosen = random.Random(0)
    grams = chosen.sample(["".join(gram) for gram in product(letters, repeat=3)], count)
    rules = [predict(chosen.choice(letters)).after(gram) for gram in grams]
    start = time.perf_counter()
    compiled = compile_program(Program(letters, 5, [*rules, predict("a").otherwise()]))
    seconds = time.perf_counter() - start
    return {
        "s": round(seconds, 3),
        "ms a rule": round(1000 * seconds / count, 3),
        "neurons": len(compiled.circuits.blocks[0].neurons),
        "parameters": compiled.model.parameters,
    }


MEASURES: dict[str, Callable[..., dict[str, object]]] = {
    "compile_aab": compile_aab,
    "run_from_shell": run_from_shell,
    "forward": forward,
    "verify_all": verify_all,
    "compile_ngrams": compile_ngrams,
}


def main() -> None:
    """Print every table."""
    print("# Benchmarks\n")
    print("Made by `make bench`, in one run, each row in a process of its own with one thread.\n")
    cores = os.cpu_count()
    print(f"Python {platform.python_version()}, {platform.machine()}, {cores} cores.\n")
    print("## One-offs\n")
    rows = []
    for name in ("compile_aab", "run_from_shell", "forward", "verify_all"):
        found = _measured(name)
        peak = found.pop("peak MB")
        said = ", ".join(f"{value:,} {unit}" for unit, value in found.items())
        rows.append([(MEASURES[name].__doc__ or "").strip().rstrip("."), said, f"{peak}"])
    _table(["what", "median", "peak MB"], rows)
    print("## Compile time of n-gram rules over 26 tokens\n")
    ngrams = []
    for count in (10, 100, 1_000, 10_000):
        found = _measured("compile_ngrams", count)
        ngrams.append([f"{count:,}", *(f"{value:,}" for value in found.values())])
    _table(["rules", "s", "ms a rule", "neurons", "parameters", "peak MB"], ngrams)


def _measured(name: str, *arguments: int) -> dict[str, object]:
    """Run one measure in a fresh process."""
    command = [sys.executable, __file__, name, *map(str, arguments)]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(done.stdout))


def _median(work: Callable[[], object], runs: int) -> float:
    """The median time of `runs` runs in seconds, after one that does not count."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _peak_memory() -> int:
    """The most memory that this process or a child of it has held, in MB."""
    import resource

    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in who) // unit


def _table(head: list[str], rows: Iterable[list[str]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured = MEASURES[sys.argv[1]](*map(int, sys.argv[2:]))
        print(json.dumps({**measured, "peak MB": _peak_memory()}))
    else:
        main()
