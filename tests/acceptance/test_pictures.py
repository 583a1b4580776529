"""The pictures of README and docs are what is drawn now, and can be read on a page."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest
from svg_texts import unreadable

from handcraft.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
DRAWN_ELSEWHERE = {"imports.svg"}
"""Pictures with tests of their own, of the kinds that Graphviz lays out."""

spec = importlib.util.spec_from_file_location("draw_pictures", ROOT / "docs" / "draw_pictures.py")
draw_pictures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(draw_pictures)


def run(arguments: list[str], monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


@pytest.mark.parametrize("kind", ["gallery", "circuits"])
def test_the_pictures_are_what_is_drawn_now(kind):
    stale = [
        file.name
        for file, svg in getattr(draw_pictures, kind)()
        if not file.exists() or file.read_text(encoding="utf-8") != svg
    ]
    assert stale == [], "`make pictures` draws them anew"


@pytest.mark.parametrize("command", draw_pictures.commands())
def test_the_page_of_pictures_shows_what_its_commands_write(command, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = shlex.split(command)
    place = arguments.index("-o") + 1
    shown = PICTURES / "kinds" / arguments[place]
    arguments[place] = str(tmp_path / arguments[place])
    run(arguments, monkeypatch)
    assert (tmp_path / shown.name).read_bytes() == shown.read_bytes(), "`make pictures` draws it anew"


def test_the_first_picture_of_the_readme_is_what_the_command_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    first = re.search(r"!\[[^]]*\]\((\S+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))[1]
    file = tmp_path / "aab.svg"
    run(["handcraft", "draw", "programs/aab.py", "-o", str(file)], monkeypatch)
    assert file.read_bytes() == (ROOT / first).read_bytes()


def test_every_program_has_a_picture():
    names = {path.stem for path in (ROOT / "programs").glob("*.py")}
    assert {path.stem for path in (PICTURES / "programs").glob("*.svg")} == names


@pytest.mark.parametrize(
    "file",
    [file for file in sorted(PICTURES.rglob("*.svg")) if file.name not in DRAWN_ELSEWHERE],
    ids=lambda file: str(file.relative_to(PICTURES)),
)
def test_every_picture_can_be_read_on_a_page(file):
    assert unreadable(file.read_text(encoding="utf-8")) == []
