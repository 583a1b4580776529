"""Progress on stderr: a bar on a terminal, else a line every ten seconds; nothing for quick work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from handcraft.progress import listening

QUIET = 1.0
"""Seconds of work before a bar is shown."""

EVERY = 10.0
"""Seconds between two lines, where there is no terminal."""


@dataclass
class Reached:
    """How much work is done: set by the code that does it, read by the code that shows it."""

    stage: str = ""
    done: int = 0
    total: int = 0
    began: float = field(default_factory=time.monotonic)
    lock: Lock = field(default_factory=Lock)

    def advance(self, stage: str, done: int, total: int) -> None:
        """Note it; another stage begins another time."""
        with self.lock:
            if stage != self.stage:
                self.stage, self.began = stage, time.monotonic()
            self.done, self.total = done, total

    def line(self) -> str:
        """It in words, with the rate and the time left."""
        with self.lock:
            seconds = max(time.monotonic() - self.began, 1e-9)
            rate = self.done / seconds
            left = (self.total - self.done) / rate if rate else 0
            if not self.total:
                return self.stage or "working"
            message = f"{self.stage}: {self.done:,} of {self.total:,}"
            return f"{message}, {rate:,.0f} a second, {left:,.0f} s left" if rate else message


@contextmanager
def shown_progress() -> Iterator[None]:
    """Within it, whatever takes long shows on stderr how far it has come."""
    reached, over = Reached(), Event()
    show = _show_bar if sys.stderr.isatty() else _print_lines
    shower = Thread(target=show, args=(reached, over), daemon=True)
    shower.start()
    try:
        with listening(reached.advance):
            yield
    finally:
        over.set()
        shower.join()


def _print_lines(reached: Reached, over: Event) -> None:
    while not over.wait(EVERY):
        print(reached.line(), file=sys.stderr, flush=True)


def _show_bar(reached: Reached, over: Event) -> None:
    if over.wait(QUIET):
        return
    from rich.console import Console  # a tenth of the start of every command
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", style="progress.data.speed"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown, task = "", None
        while True:
            with reached.lock:
                stage, done, total = reached.stage, reached.done, reached.total
                rate = f"{done / max(time.monotonic() - reached.began, 1e-9):,.0f}/s"
            if task is None or stage != shown:
                if task is not None:
                    bar.remove_task(task)
                shown, task = stage, bar.add_task(stage or "working", total=total or None, rate=rate)
            bar.update(task, completed=done, total=total or None, rate=rate)
            if over.wait(0.1):
                return
