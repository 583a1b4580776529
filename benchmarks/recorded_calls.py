"""Which functions of the package each test calls: a plugin of pytest that writes them to a file.

`python -m pytest -p recorded_calls TESTS` writes the file that the environment names, or adds to it.
`mutants.py` takes from it which tests can notice a change of a function. Of every property only a few
examples run.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import ITIMER_VIRTUAL, SIGVTALRM, setitimer, signal
from time import process_time
from types import CodeType, FrameType
from typing import Any, NoReturn

import pytest
from hypothesis import is_hypothesis_test, settings

FILE = "HANDCRAFT_CALLS"
"""Names the file that is written."""
EXAMPLES = 4
"""Of every property: these call nearly all that it ever calls."""
LONGEST = 3.0
"""Seconds of processor time, while calls are traced: slower tests are skipped, and not recorded."""


def _too_slow(number: int, frame: FrameType | None) -> NoReturn:
    pytest.skip("too slow to be recorded")


class RecordedCalls:
    """Of each test that passes: its processor time, and the functions that were called meanwhile."""

    def __init__(self, package: Path) -> None:
        self.package = f"{package}{os.sep}"
        self.called: dict[int, CodeType] = {}
        self.times: dict[str, float] = {}
        """How many times as many examples a property tries."""
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self.tests: dict[str, dict[str, None]] = {}
        """The tests that called each function, which is named `compiler/search.py best_of`.

        A file of tests is among them if it calls the function when it is imported.
        """

    def _trace(self, frame: FrameType, event: str, argument: Any) -> None:
        """Keep what is called; lines are not traced."""
        self.called[id(frame.f_code)] = frame.f_code

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Let properties try few examples."""
        for item in items:
            function = getattr(item, "function", None)
            if is_hypothesis_test(function):
                asked = function._hypothesis_internal_use_settings or settings.default
                self.times[item.nodeid] = max(1.0, asked.max_examples / EXAMPLES)
                few = settings(asked, max_examples=min(asked.max_examples, EXAMPLES))
                function._hypothesis_internal_use_settings = few

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        """Trace one test, with the fixtures that it is the first to need."""
        start = process_time()
        try:
            with self._traced(item.nodeid):
                return (yield)
        finally:
            self.seconds[item.nodeid] = process_time() - start

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self) -> Iterator[None]:
        """Skip a test that takes too long."""
        setitimer(ITIMER_VIRTUAL, LONGEST)
        try:
            return (yield)
        finally:
            setitimer(ITIMER_VIRTUAL, 0)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: Any) -> Iterator[None]:
        """Trace what a file calls to make the parameters of its tests: all of them depend on it."""
        if not isinstance(collector, pytest.Module):
            return (yield)
        with self._traced(collector.nodeid):
            return (yield)

    @contextmanager
    def _traced(self, name: str) -> Iterator[None]:
        """Trace for a test, or a file of tests."""
        self.called.clear()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            for code in list(self.called.values()):
                if code.co_filename.startswith(self.package) and code.co_name != "<module>":
                    function = f"{code.co_filename.removeprefix(self.package)} {code.co_qualname}"
                    self.tests.setdefault(function, {})[name] = None

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep which tests do not pass."""
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Add to the file: seconds of tests, and the tests of functions as their places among these."""
        written = Path(os.environ[FILE])
        known = {"seconds": {}, "tests": {}}
        if written.exists():
            known = json.loads(written.read_text("utf-8"))
        seconds = known["seconds"]
        for test, time in self.seconds.items():
            if test not in self.failed:
                seconds[test] = round(time * self.times.get(test, 1.0), 3)
        for file in {test.partition("::")[0] for test in seconds}:
            seconds[file] = sum(time for test, time in seconds.items() if test.startswith(f"{file}::"))
        place = {test: i for i, test in enumerate(seconds)}
        for name, found in self.tests.items():
            passed = {place[test] for test in found if test in place}
            known["tests"][name] = sorted(passed.union(known["tests"].get(name, [])))
        written.write_text(json.dumps(known, separators=(",", ":")), "utf-8")


def pytest_configure(config: Any) -> None:
    """Record what the tests of this run call."""
    import handcraft

    signal(SIGVTALRM, _too_slow)
    config.pluginmanager.register(RecordedCalls(Path(handcraft.__file__).parent))
