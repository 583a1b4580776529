"""Measure handcraft on this machine and print the tables of docs/benchmarks.md.

Every row runs in a process of its own with one thread, so that peak memory is its own and rows
compare. Nothing here decides a test.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Measure, answer, measured, median, print_table

if TYPE_CHECKING:
    from handcraft import Program

ROOT = Path(__file__).resolve().parent.parent


def compile_aab() -> dict[str, object]:
    """Compile programs/aab.py after import."""
    from handcraft import compile_program

    program = _aab()
    return {
        "ms in block": round(
            1000 * median(lambda: compile_program(program, architecture="block"), 21), 2
        ),
        "ms in gpt2": round(1000 * median(lambda: compile_program(program), 21), 2),
    }


def run_from_shell() -> dict[str, object]:
    """`handcraft run programs/aab.py aab`, as a whole process."""
    command = [sys.executable, "-m", "handcraft", "run", str(ROOT / "programs/aab.py"), "aab"]
    return {"s": round(median(lambda: subprocess.run(command, check=True, stdout=-3), 7), 3)}


def forward() -> dict[str, object]:
    """65,536 contexts of length 16 through a one-block model."""
    import numpy as np

    from handcraft import Program, compile_program, predict

    rules = [predict("b").after("aa"), predict("b").after("bab"), predict("a").otherwise()]
    model = compile_program(Program("ab", 16, rules), architecture="block").model
    numbers = np.arange(1 << 16)
    contexts = numbers[:, None] >> np.arange(16) & 1  # every context of 16 tokens over two
    seconds = median(lambda: model.forward(contexts), 3)
    return {"s": round(seconds, 2), "contexts a second": round(len(contexts) / seconds)}


def verify_all() -> dict[str, object]:
    """All 131,070 contexts of up to 16 tokens over two, model and oracle."""
    from handcraft import Program, compile_program, predict
    from handcraft.verify import verify

    rules = [predict("b").after("aa"), predict("b").after("bab"), predict("a").otherwise()]
    program = Program("ab", 16, rules)
    model = compile_program(program, architecture="block").model
    return {"s": round(median(lambda: verify(model, program), 3), 2)}


def export_aab() -> dict[str, object]:
    """Compile programs/aab.py and write it as a Hugging Face repository, checks included."""
    import tempfile

    from handcraft import compile_program, save

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            save(compile_program(_aab()), Path(folder) / "aab")

    return {"s": round(median(work, 5), 3)}


def fill_gpt2_small() -> dict[str, object]:
    """`handcraft compile programs/aab.py --like gpt2-small`, as a whole process."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "handcraft", "compile", str(ROOT / "programs/aab.py")]
        command += ["-o", f"{folder}/small", "--like", "gpt2-small", "--token-ids", "a=64,b=65"]
        return {"s": round(median(lambda: subprocess.run(command, check=True, stdout=-3), 3), 2)}


def beside_transformers() -> dict[str, object]:
    """The same folder in handcraft and in transformers, one thread each, taking turns."""
    import tempfile

    import numpy as np
    import torch
    import transformers

    from handcraft import compile_program, complete, load, save

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "aab"
        save(compile_program(_aab()), folder)
        read = transformers.GPT2LMHeadModel.from_pretrained
        ours, theirs = load(folder), read(folder)
        numbers = np.arange(4096)[:, None] * 16 + 5
        contexts = numbers >> np.arange(16) & 1
        batch, prompt = torch.tensor(contexts), torch.tensor([[0, 0, 1]])

        def generate_theirs() -> None:
            with torch.no_grad():
                theirs.generate(prompt, max_new_tokens=1000, do_sample=False)

        def forward_theirs() -> None:
            with torch.no_grad():
                theirs(batch)

        pairs: dict[str, tuple[Callable[[], object], Callable[[], object], int]] = {
            "forward of 4,096 contexts of 16": (
                lambda: ours.forward(contexts),
                forward_theirs,
                7,
            ),
            "1,000 tokens with cache": (
                lambda: complete(ours, "aab", 1000),
                generate_theirs,
                3,
            ),
            "load": (lambda: load(folder), lambda: read(folder), 5),
        }
        return {name: _side_by_side(*pair) for name, pair in pairs.items()}


def _side_by_side(ours: Callable[[], object], theirs: Callable[[], object], runs: int) -> list[float]:
    """The medians of both in seconds, taking turns, and the median of their ratios."""
    times: list[tuple[float, float]] = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        times.append((middle - start, time.perf_counter() - middle))
    counted = times[1:]
    return [
        round(statistics.median(a for a, _ in counted), 4),
        round(statistics.median(b for _, b in counted), 4),
        round(statistics.median(b / a for a, b in counted), 1),
    ]


def _aab() -> Program:
    from handcraft import Program, predict

    return Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


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
    program = Program(letters, 5, [*rules, predict("a").otherwise()])
    compiled = compile_program(program, architecture="block")
    seconds = time.perf_counter() - start
    return {
        "s": round(seconds, 3),
        "ms a rule": round(1000 * seconds / count, 3),
        "neurons": len(compiled.circuits.blocks[0].neurons),
        "parameters": compiled.model.parameters,
    }


MEASURES: dict[str, Measure] = {
    "compile_aab": compile_aab,
    "run_from_shell": run_from_shell,
    "forward": forward,
    "verify_all": verify_all,
    "export_aab": export_aab,
    "fill_gpt2_small": fill_gpt2_small,
    "beside_transformers": beside_transformers,
    "compile_ngrams": compile_ngrams,
}


ONE_OFFS = (
    "compile_aab",
    "run_from_shell",
    "forward",
    "verify_all",
    "export_aab",
    "fill_gpt2_small",
)


def main() -> None:
    """Print every table."""
    print("# Benchmarks\n")
    print("How fast handcraft is, how large its models are, and what of them is proved; ", end="")
    print("beside other tools where that is possible.")
    print("Made by `make bench` in one run, each row in its own process with one thread, ", end="")
    print("unless a section says otherwise.\n")
    cores = os.cpu_count()
    print(f"Python {platform.python_version()}, {platform.machine()}, {cores} cores.\n")
    print("## Single measurements\n")
    rows = []
    for name in ONE_OFFS:
        found = measured(__file__, name)
        peak = found.pop("peak MB")
        said = ", ".join(f"{value:,} {unit}" for unit, value in found.items())
        rows.append([(MEASURES[name].__doc__ or "").strip().rstrip("."), said, f"{peak}"])
    print_table(["what", "median", "peak MB"], rows)
    print("## Beside transformers\n")
    print("`programs/aab.py` as a GPT-2 of width 46, one thread each, taking turns in one process.\n")
    if importlib.util.find_spec("transformers") and importlib.util.find_spec("torch"):
        found = measured(__file__, "beside_transformers")
        found.pop("peak MB")
        rows = [[name, *map(str, each)] for name, each in found.items()]  # type: ignore[call-overload]
        print_table(["what", "handcraft s", "transformers s", "ratio"], rows)
    else:
        print("Not measured: transformers is not installed (`pip install 'handcraft[judges]'`).\n")
    print("## Compile time of n-gram rules over 26 tokens\n")
    ngrams = []
    for count in (10, 100, 1_000, 10_000):
        found = measured(__file__, "compile_ngrams", count)
        ngrams.append([f"{count:,}", *(f"{value:,}" for value in found.values())])
    print_table(["rules", "s", "ms a rule", "neurons", "parameters", "peak MB"], ngrams)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        answer(MEASURES, sys.argv[1:])
    else:
        main()
