"""Who computes: this process, several of this machine, or those of a cluster."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated

import typer

from handcraft.errors import CommandError
from handcraft_check.processes import Processes

WORKERS_HELP = "How many processes compute at once."

SCHEDULER_HELP = (
    "Use the workers of the dask.distributed scheduler at this address; needs the extra cluster."
)

Workers = Annotated[int, typer.Option("--workers", min=1, help=WORKERS_HELP)]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help=SCHEDULER_HELP, show_default=False, metavar="ADDRESS")
]


def _ignore_interrupts() -> None:
    """Let the command handle Ctrl-C, which a terminal sends to all its processes; it ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


ANSWERS_IN = "5s"
"""How long a scheduler may take to answer."""


@contextmanager
def executor_of(workers: int, scheduler: str | None) -> Iterator[Executor | None]:
    """An executor as the command line asks for it; None for this process.

    What a worker of a cluster had begun when it ended is computed by another one, up to three times:
    distributed does that.

    Raises:
        CommandError: both are given, no scheduler answers, or the extra is not installed.
    """
    if scheduler is None:
        if workers == 1:
            yield None
            return
        with Processes(workers, initializer=_ignore_interrupts) as pool:
            yield pool
        return
    if workers != 1:
        raise CommandError(
            "--workers counts processes of this machine, and --scheduler has workers of its own",
            fix="leave out --workers",
        )
    try:
        distributed = import_module("distributed")
    except ImportError:
        raise CommandError(
            "--scheduler needs the distributed package, which is not installed",
            fix="pip install 'handcraft[cluster]'",
        ) from None
    try:
        client = distributed.Client(scheduler, timeout=ANSWERS_IN, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CommandError(
            f"no scheduler answers: {error}",
            where=f"--scheduler {scheduler}",
            fix="start one with `dask scheduler`, and use the address that it prints",
        ) from None
    with client:
        try:
            yield client.get_executor(pure=False)
        except distributed.KilledWorker as error:
            raise CommandError(
                f"workers ended again and again: {error}",
                where=f"--scheduler {scheduler}",
                fix="give them more memory, or start fewer on each machine",
            ) from None
