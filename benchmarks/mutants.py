"""Mutation testing: change one token of the package, and see whether a test notices.

`python benchmarks/mutants.py compiler/features weights` takes a sample of the mutants of every file
there. A mutant that survives is either a line that no test depends on, or a change without effect.

Which tests call the function that is changed is recorded first, in build/calls.json (`--record` does it
again). Those beside the file, and the quickest, run first; what survives them runs against the rest.
Each mutant is written to a scratch copy of the package, never to the working tree. A fork of this
process runs the tests: it has imported what the package imports, and nothing of the package.
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

from measuring import print_table
from mutations import PACKAGE, Mutant, mutants_of, sample

ROOT = PACKAGE.parent
CALLS = ROOT / "build" / "calls.json"
RECORDED = ("tests/unit", "tests/property", "tests/golden", "tests/acceptance/test_shipped_programs.py")
"""The tests that mutants run against."""
NEAR = 6.0
"""Seconds, as recorded, of the first tests of a mutant."""
BYTES = 4 << 30
"""Of memory for the tests of one mutant."""


class Calls:
    """Which tests call a function, as recorded by `recorded_calls.py`.

    Args:
        recorded: the seconds of each test, and the tests of each function as their places among them.
    """

    def __init__(self, recorded: dict[str, Any]) -> None:
        self.seconds: dict[str, float] = recorded["seconds"]
        self.names = list(self.seconds)
        self.tests: dict[str, list[int]] = recorded["tests"]

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that can notice a mutant: those beside its file first, then the quick.

        A function whose result is kept is called by one test and used by others, and what is computed
        on import is used by all: where none is recorded, the tests of the whole file are taken.
        """
        places = self.tests.get(f"{mutant.path} {mutant.function}", []) or {
            place
            for name, places in self.tests.items()
            if name.startswith(f"{mutant.path} ")
            for place in places
        }
        found = [self.names[place] for place in places]
        return sorted(found, key=lambda test: (-_beside(test, mutant.path), self.seconds[test], test))

    def first(self, tests: list[str], most: float) -> list[str]:
        """The first of some tests, as many as run in so many seconds."""
        chosen, spent = [], 0.0
        for test in tests:
            spent += self.seconds[test]
            if chosen and spent > most:
                break
            chosen.append(test)
        return chosen


def _beside(test: str, path: str) -> int:
    """How many folders a test shares with a file of the package."""
    pairs = zip(test.removeprefix("tests/unit/").split("/")[:-1], path.split("/")[:-1], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def recorded_calls() -> None:
    """Run all tests once, and record which functions each of them calls."""
    CALLS.parent.mkdir(exist_ok=True)
    search = os.pathsep.join([str(Path(__file__).parent), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": search, "HANDCRAFT_CALLS": str(CALLS)}
    command = [sys.executable, "-m", "pytest", "-p", "recorded_calls", *RECORDED]
    subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False)


class OrderedTests:
    """A plugin of pytest that runs the chosen tests in their order, and keeps the first that fails.

    Args:
        tests: the tests, which stay together with those of their file.
    """

    def __init__(self, tests: list[str]) -> None:
        files = list(dict.fromkeys(map(_file, tests)))
        self.place = {test: (files.index(_file(test)), place) for place, test in enumerate(tests)}
        self.files = files
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out the other tests of these files."""
        places = [(self._place(item.nodeid), item) for item in items]
        items[:] = [item for place, item in sorted(places, key=lambda each: each[0]) if place < LAST]

    def _place(self, test: str) -> tuple[int, int]:
        """When a test runs: with its file, or in its own place; `LAST` if not at all."""
        return min(self.place.get(_file(test), LAST), self.place.get(test, LAST))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the test."""
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be imported."""
        self.pytest_runtest_logreport(report)


LAST = (sys.maxsize, 0)


def _file(test: str) -> str:
    return test.partition("::")[0]


class Scratch:
    """A copy of the package in which mutants are put, and the tests that run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.right: dict[str, bool] = {}
        """Whether a test passes there without any change."""
        shutil.copytree(PACKAGE, folder / "handcraft")
        shutil.copytree(ROOT / "programs", folder / "programs")
        compileall.compile_dir(folder / "handcraft", quiet=1)  # once, and not in every fork

    def killer(self, mutant: Mutant, tests: list[str], seconds: int) -> str:
        """The first test that fails with a mutant in place, or nothing.

        Tests that need more than `seconds` of processor time, or too much memory, kill it too.
        """
        file = self.folder / "handcraft" / mutant.path
        right = file.read_text(encoding="utf-8")
        for stale in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            stale.unlink()
        file.write_text(mutant.source, encoding="utf-8")
        try:
            found = self._run(tests, seconds)
        finally:
            file.write_text(right, encoding="utf-8")
        return (
            found if "::" not in found or self._is_right(found) else f"{found} fails without any change"
        )

    def _is_right(self, test: str) -> bool:
        """Whether a test passes without any change."""
        if test not in self.right:
            self.right[test] = not self._run([test], 300)
        return self.right[test]

    def _run(self, tests: list[str], seconds: int) -> str:
        """The first test that fails, in a fork of this process."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            os.write(writing, _first_failure(self.folder, tests, seconds).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            found = answer.read()
        os.waitpid(child, 0)
        return json.loads(found) if found else "no end, or no memory"


def _first_failure(folder: Path, tests: list[str], seconds: int) -> str:
    """Run tests in this process, and return the first that fails as JSON."""
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    with open(os.devnull, "w") as nothing:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nothing.fileno(), stream.fileno())
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    ordered = OrderedTests(tests)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = pytest.main([*options, *ordered.files], plugins=[ordered])
    import handcraft

    assert Path(handcraft.__file__).is_relative_to(folder)
    return json.dumps(ordered.failed or ("" if status == 0 else f"pytest: {status!r}"))


def main() -> None:
    """Try mutants, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "paths", nargs="*", default=["compiler", "circuits", "weights", "formats", "verify"],
        help="files and folders of the package, such as compiler/features/reuse.py",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=2, help="mutants of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--line", type=int, help="only mutants of this line, all of them")
    parser.add_argument("--most", type=float, default=25.0, help="seconds of tests for one mutant")
    parser.add_argument("--record", action="store_true", help="record again which tests call what")
    asked = parser.parse_args()
    os.chdir(ROOT)
    os.environ.update(CI="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    if asked.record or not CALLS.exists():
        recorded_calls()
    calls = Calls(json.loads(CALLS.read_text(encoding="utf-8")))
    paths = list(_files(asked.paths))
    tried = sample(paths, 10**6 if asked.line else asked.count, asked.seed)
    tried = [mutant for mutant in tried if asked.line in (None, mutant.line)]
    survived = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Scratch(Path(folder).resolve())
        _import_what_is_shared()
        for mutant in tried:
            tests = calls.first(calls.of(mutant), asked.most)
            near = calls.first(tests, NEAR)
            by = near and scratch.killer(mutant, near, 60)
            by = by or (tests[len(near) :] and scratch.killer(mutant, tests[len(near) :], 300))
            survived += [] if by else [mutant]
            print(f"{mutant} {by or f'SURVIVED {len(tests)} tests'}", flush=True)
    print()
    counts = [
        (path, len(mutants_of(path)), _of(path, tried), _of(path, tried) - _of(path, survived))
        for path in paths
    ]
    print_table(
        ["file", "mutants there are", "tried", "killed", "survived"],
        [[path, str(there), str(new), str(dead), str(new - dead)] for path, there, new, dead in counts],
    )


def _files(paths: Iterable[str]) -> Iterable[str]:
    """The files of the package below some paths."""
    for path in paths:
        below = [PACKAGE / path] if path.endswith(".py") else sorted((PACKAGE / path).rglob("*.py"))
        yield from (str(file.relative_to(PACKAGE)) for file in below if file.name != "__init__.py")


def _of(path: str, mutants: list[Mutant]) -> int:
    """How many mutants are of a file."""
    return sum(mutant.path == path for mutant in mutants)


def _import_what_is_shared() -> None:
    """So that no fork imports it again."""
    for name in (
        "highspy",
        "hypothesis",
        "lark",
        "ml_dtypes",
        "numpy",
        "pytest",
        "rich",
        "sympy",
        "typer",
    ):
        importlib.import_module(name)


if __name__ == "__main__":
    main()
