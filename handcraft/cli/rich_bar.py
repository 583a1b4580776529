"""A bar on the terminal, by rich: imported where one is shown."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from handcraft.cli.progress_bar import Reached


def show_bar(reached: Reached, over: Event) -> None:
    """Show on stderr how far the work has come, until it is over."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown, task = "", None
        while True:
            with reached.lock:
                stage, done, total = reached.stage, reached.done, reached.total
            if task is None or stage != shown:
                if task is not None:
                    bar.remove_task(task)
                shown, task = stage, bar.add_task(stage or "working", total=total or None)
            bar.update(task, completed=done, total=total or None)
            if over.wait(0.1):
                return


class _Rate(ProgressColumn):
    """How much is done in a second."""

    def render(self, task: Task) -> Text:
        """The rate of the last seconds."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s", style="progress.data.speed")
