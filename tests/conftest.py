"""Hypothesis profiles, and texts that are compared with files in tests/golden."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from sweeps import sweep

GOLDEN = Path(__file__).parent / "golden"

EXAMPLES = sweep(200)
"""Of every property that asks for no number of its own."""

GALLERY = (
    "tests/acceptance/test_shipped_programs.py",
    "tests/unit/compiler/ordinal/test_optimize.py",
)
"""The files that compile programs by tests/gallery.py, beside the judges."""

PHASES = tuple(phase for phase in Phase if phase is not Phase.explain)
"""To explain a failure, every line that ran is traced, also where a test is about failing."""

# How much `handcraft.testing` tries in our own tests: no more in CI, where it would by default.
os.environ.setdefault("HANDCRAFT_PROFILE", "ci" if os.environ.get("HANDCRAFT_DEEP") else "dev")

settings.register_profile("dev", deadline=None, max_examples=EXAMPLES, phases=PHASES)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="write the texts in tests/golden anew"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file is run by one process, which compiles once what its tests share; the longest come first.

    All judges are run by the same: so only one imports torch and transformers, and writes the folders.
    It also runs the other tests of the gallery, whose programs the judges compile too.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "judges" if file.startswith(("tests/judges/", *GALLERY)) else file

    config.option.loadscopereorder = False  # files keep their order, in which the longest come first
    return Scheduling(config, log)


def pytest_collection_finish(session):
    """Look for garbage less often, and never among what stays: modules, torch, thousands of tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 20, 20)


@pytest.fixture(autouse=True)
def no_progress(monkeypatch):
    """Print no line of progress, however slow the machine: tests compare what is printed."""
    monkeypatch.setattr("handcraft.cli.output.progress_bar.EVERY", 3600.0)


@pytest.fixture
def golden(request):
    """Compare a text with a file in tests/golden, or write the file when --update-golden is given."""

    def compare(text: str, name: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--update-golden"):
            file.write_text(text + "\n", encoding="utf-8")
        assert file.exists(), f"tests/golden/{name} is missing: run pytest --update-golden"
        assert text + "\n" == file.read_text(encoding="utf-8")

    return compare
