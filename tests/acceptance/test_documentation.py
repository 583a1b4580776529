"""Every `console` block of README and docs is run, and must print what it shows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_what_its_commands_print(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "programs", tmp_path / "programs")
    for command, expected in examples(page):
        name, *arguments = shlex.split(command)
        assert name == "handcraft", f"{page.name} shows a command that is not ours: {command}"
        done = subprocess.run(
            [sys.executable, "-m", "handcraft", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout if done.returncode == 0 else done.stdout + done.stderr
        assert printed.rstrip("\n") == expected, command


def test_the_pages_show_commands_at_all() -> None:
    assert sum(len(examples(page)) for page in PAGES) >= 8
