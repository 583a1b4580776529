"""The command line, run in this process."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from handcraft.cli.main import main

PROGRAMS = Path(__file__).parents[3] / "programs"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder, as `handcraft ...` does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["handcraft", *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = 0 if stopped.code is None else stopped.code
        printed = capsys.readouterr()
        plain = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in printed)
        return Ran(status, *plain)

    return run


@pytest.fixture
def aab():
    return PROGRAMS / "aab.py"


@pytest.fixture
def by_hand():
    return PROGRAMS / "by_hand.py"


@pytest.fixture
def several(tmp_path):
    """A file with two programs, one of them under two names."""
    path = tmp_path / "several.py"
    path.write_text(
        "from handcraft import Program, predict\n"
        'one = Program("ab", 3, [predict("b").after("a"), predict("a").otherwise()])\n'
        'two = Program("ab", 3, [predict("b").otherwise()])\n'
        "again = one\n"
        "_hidden = two\n",
        encoding="utf-8",
    )
    return path
