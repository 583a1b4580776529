"""Every `console` block of README and docs is run, and must print what it shows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from handcraft.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(page: Path) -> list[tuple[str, str]]:
    """The commands of a page, each with the output that the page shows."""
    found: list[tuple[str, str]] = []
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output.rstrip("\n")))
    return found


def arguments_of(command: str) -> list[str]:
    """The arguments of a command, which must be one of ours."""
    name, *arguments = shlex.split(command)
    assert name == "handcraft", f"a page shows a command that is not ours: {command}"
    return arguments


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda page: page.name)
def test_a_page_shows_what_its_commands_print(page, tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "programs", tmp_path / "programs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it; a page shows whole lines
    for command, expected in examples(page):
        monkeypatch.setattr(sys, "argv", ["handcraft", *arguments_of(command)])
        try:
            main()
            status = 0
        except SystemExit as stopped:
            status = stopped.code or 0
        out, err = capsys.readouterr()
        printed = out if status == 0 else out + err
        assert printed.rstrip("\n") == expected, command


def test_the_first_command_of_the_readme_runs_as_a_process_of_its_own(tmp_path):
    shutil.copytree(ROOT / "programs", tmp_path / "programs")
    command, expected = examples(ROOT / "README.md")[0]
    started = [sys.executable, "-m", "handcraft", *arguments_of(command)]
    printed = subprocess.check_output(started, cwd=tmp_path, text=True)
    assert printed.rstrip("\n") == expected


def test_the_pages_show_commands_at_all():
    assert sum(len(examples(page)) for page in PAGES) >= 20


def test_what_the_project_says_of_itself_is_one_sentence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["description"] in (ROOT / "README.md").read_text(encoding="utf-8")
