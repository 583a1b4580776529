"""Long work shows how far it has come, and Ctrl-C ends it with one line and nothing half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from handcraft import Program, compile_program, predict, save
from handcraft.cli.output import progress_bar
from handcraft.cli.output.progress_bar import Reached, shown_progress
from handcraft.progress import advance, listening
from handcraft.verify import verify

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
RULES = "context 64\nvocabulary a b c d\npredict b after aa\npredict a otherwise\n"


def test_every_part_of_the_work_reports_progress(tmp_path):
    told = {}
    with listening(lambda stage, done, total: told.setdefault(stage, []).append((done, total))):
        compiled = compile_program(AAB, n_positions=600)
        save(compiled, tmp_path / "out")
        verify(compiled.model, AAB)
    assert {"place embeddings", "place blocks", "make arrays", "write tensors"} < told.keys()
    assert told["try contexts"][-1] == (62, 62)
    for steps in told.values():
        assert all(0 <= done <= total for done, total in steps)


def test_no_progress_is_reported_after_listening_ends():
    told = []
    with listening(lambda *step: told.append(step)):
        advance("work", 1, 2)
    advance("work", 2, 2)
    assert told == [("work", 1, 2)]


def test_a_line_has_the_rate_and_the_time_left():
    reached = Reached()
    reached.advance("try contexts", 0, 1)
    reached.advance("try contexts", 3_000, 9_000)
    reached.began = time.monotonic() - 3
    assert reached.line().startswith("try contexts: 3,000 of 9,000, 1,000 a second, 6 s left")


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress_bar, "EVERY", 0.05)
    began, err = time.monotonic(), ""
    with shown_progress():
        advance("try contexts", 7, 20)
        while err.count("7 of 20, ") < 2 and time.monotonic() < began + 60:
            time.sleep(0.01)
            out, more = capsys.readouterr()
            assert out == ""
            err += more
    lines = err.splitlines()
    assert 2 <= len(lines) <= (time.monotonic() - began) / 0.05
    assert all("s left" in line or line == "working" for line in lines)


def test_quick_work_shows_nothing(capsys):
    with shown_progress():
        advance("try contexts", 7, 20)
    assert capsys.readouterr() == ("", "")


ON_A_TERMINAL = """
import sys, time
from handcraft.cli.output import progress_bar
from handcraft.progress import advance
progress_bar.QUIET = 0.1
with progress_bar.shown_progress():
    for done in range(30):
        advance("try contexts", done, 30)
        time.sleep(0.03)
print("over")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_there_is_a_bar_that_goes_away():
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", ON_A_TERMINAL]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            shown += piece
        assert child.wait(60) == 0
    os.close(ours)
    text = shown.decode()
    assert "try contexts" in text
    assert "/30" in text
    assert text.rstrip().endswith("over")
    assert "\x1b[2K" in text  # the bar is wiped


STOPPED = """
import os, signal
from handcraft.progress import advance, listening
from handcraft.cli import main
from handcraft.cli.commands import compile as command
real = command.shown_progress
from contextlib import contextmanager

def press(stage, done, total):
    if stage == {stage!r}:
        os.kill(os.getpid(), signal.SIGINT)

@contextmanager
def pressing():
    with listening(press):
        yield

command.shown_progress = pressing
main.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others")
@pytest.mark.parametrize(
    ("stage", "earlier"),
    [
        ("place embeddings", False),
        ("try contexts", True),
        ("write tensors", False),
        ("write tensors", True),
    ],
)
def test_an_interrupt_leaves_the_folder_as_it_was(stage, earlier, tmp_path):
    (tmp_path / "p.rules").write_text(RULES)
    if earlier:
        save(compile_program(AAB), tmp_path / "out")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").glob("*")}
    command = [sys.executable, "-c", STOPPED.format(stage=stage), "compile", "p.rules", "-o", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted: nothing was written\n"
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").glob("*")} == before
    assert {p.name for p in tmp_path.iterdir()} == {"p.rules", *(["out"] if earlier else [])}


DIVIDED = """
import os, signal, threading
from handcraft.cli import main
from handcraft.cli.commands import {command} as command
from contextlib import contextmanager
from handcraft.progress import listening
from handcraft_check.by_cases import parts
from handcraft.verify.texts import batch, contexts

parts.CASES = batch.PART = contexts.PART = 20

def press(stage, done, total):
    if done == total != 0 or stage.startswith("position 5: "):  # they wait; they work
        os.killpg(0, signal.SIGINT)

@contextmanager
def pressing():
    with listening(press):
        yield

command.shown_progress = pressing
main.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others")
@pytest.mark.parametrize("command", ["verify", "prove"])
def test_an_interrupt_that_all_processes_get_ends_them_with_one_line(command):
    """As a terminal sends it: to the command and its workers."""
    words = [sys.executable, "-c", DIVIDED.format(command=command), command, "dyck1", "--workers", "2"]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=100, start_new_session=True, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted: nothing was written\n"


def test_a_second_interrupt_does_not_stop_the_clearing_away(monkeypatch):
    from handcraft.cli.interrupt import Interrupted, interruptible

    cleared = []

    def work():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            cleared.append(True)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted), interruptible():
        work()
    assert cleared
    assert signal.getsignal(signal.SIGINT) == before
