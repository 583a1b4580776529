"""`handcraft watch`: every save is verified and drawn, also after the file was broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Empty, Queue

import pytest

from handcraft.cli.input.watching import saves, state_of

RULES = "vocabulary a b\ncontext 4\npredict b after aa\npredict a otherwise\n"

PATIENCE = 120
"""Seconds after which a line has not come: a round takes a few, on a machine that does much else."""


class Watching:
    """A process that watches, and what it prints."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "handcraft", "watch", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def until(self, start: str) -> list[str]:
        """The lines up to the first that begins so."""
        found: list[str] = []
        while not found or not found[-1].startswith(start):
            try:
                found.append(self.lines.get(timeout=PATIENCE))
            except Empty:
                raise AssertionError(f"no line begins with {start!r}: {found}") from None
        return found


@pytest.fixture
def watch(tmp_path):
    started: list[Watching] = []

    def begin(*arguments: str) -> Watching:
        started.append(Watching(tmp_path, *arguments))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.wait()
        each.process.stdout.close()


def test_a_save_is_verified_and_drawn_and_a_broken_one_is_survived(watch, tmp_path):
    file, picture = tmp_path / "p.rules", tmp_path / "p.svg"
    file.write_text(RULES)
    watching = watch("p.rules", "--prompt", "aa")
    lines = watching.until("-- waiting")
    assert lines[0] == "-- watching: p.rules"
    assert "failures: 0" in lines
    assert any(line.startswith("wrote p.svg") for line in lines)
    assert "  answer: b, " in "\n".join(lines)
    first = picture.read_bytes()

    file.write_text(RULES.replace("after aa", "afterr aa"))
    lines = watching.until("-- waiting")
    assert lines[0] == "-- saved again: p.rules"
    assert any("RuleSyntaxError" in line for line in lines)
    assert any(line.startswith("  fix:") for line in lines)
    assert picture.read_bytes() == first, "nothing is drawn"

    file.write_text(RULES.replace("after aa", "after ab"))
    lines = watching.until("-- waiting")
    assert "failures: 0" in lines
    assert "  answer: a, " in "\n".join(lines)
    assert picture.read_bytes() != first

    watching.process.send_signal(signal.SIGINT)
    assert watching.until("-- stopped watching")
    assert watching.process.wait(PATIENCE) == 0


def test_a_program_that_does_not_end_is_ended_by_the_next_save(watch, tmp_path):
    file = tmp_path / "p.py"
    file.write_text("import time\nprint('sleeping', flush=True)\ntime.sleep(600)\n")
    watching = watch("p.py", "-o", "other.svg")
    watching.until("sleeping")
    file.write_text(
        "from handcraft import Program, predict\n"
        "program = Program('ab', 3, [predict('b').after('aa'), predict('a').otherwise()])\n"
    )
    assert "failures: 0" in watching.until("-- waiting")
    assert (tmp_path / "other.svg").exists()


def test_modules_beside_a_program_belong_to_it(tmp_path):
    program, helper, further = (tmp_path / f"{name}.py" for name in ("p", "helper", "further"))
    program.write_text("import helper, os\n")
    helper.write_text("from further import x\n")
    further.write_text("import p\n")
    (tmp_path / "other.py").write_text("")
    assert {file for file, *_ in state_of(program)} == {program, helper, further}
    helper.write_text("from further import (")
    assert {file for file, *_ in state_of(program)} == {program, helper}
    program.unlink()
    assert state_of(program) == ()


def test_a_save_counts_once_the_file_is_at_rest(tmp_path):
    file = tmp_path / "p.rules"
    file.write_text("one")
    seen: Queue[int] = Queue()

    def look() -> None:
        for state in saves(file):
            seen.put(state[0][2])

    threading.Thread(target=look, daemon=True).start()
    assert seen.get(timeout=PATIENCE) == len("one")
    os.replace(tmp_path / "p.rules", tmp_path / "moved")  # as editors do that write a new file
    time.sleep(0.5)
    (tmp_path / "moved").write_text("three")
    os.replace(tmp_path / "moved", file)
    assert seen.get(timeout=PATIENCE) == len("three")
    assert seen.empty()


def test_what_is_no_program_file_cannot_be_watched(run, tmp_path):
    (tmp_path / "p.txt").write_text("")
    for name in (str(tmp_path / "p.txt"), str(tmp_path)):
        ran = run("watch", name)
        assert ran.status == 2
        assert "is not a .py or .rules file" in ran.err
        assert "handcraft new mine" in ran.err


def test_a_program_that_does_not_exist_is_said_not_to(run, tmp_path):
    ran = run("watch", str(tmp_path / "none.py"))
    assert ran.status == 2
    assert "none.py does not exist" in ran.err
    assert "handcraft new mine" in ran.err


def test_a_picture_of_no_known_format_is_refused_before_anything_runs(run, tmp_path):
    (tmp_path / "p.rules").write_text(RULES)
    ran = run("watch", str(tmp_path / "p.rules"), "-o", str(tmp_path / "p.jpg"))
    assert (ran.status, ran.out) == (2, "")
    assert "p.jpg has no known picture format" in ran.err
