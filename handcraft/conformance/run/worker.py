"""The process in which an engine runs, so that one that crashes or hangs stops nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from handcraft.conformance.cases.request import Outcome, Request
from handcraft.conformance.engines.engine import Engine, Facts, Loaded
from handcraft.conformance.engines.named import engine_named
from handcraft.errors import HandcraftError

LONGEST = 300
"""The most characters of an error that are passed on."""


def serve(connection: Connection, engine_name: str, printed: Path) -> None:
    """Answer what comes through a connection until it is closed.

    Every message is ("facts",), ("load", folder, dtype) or ("answer", request); every answer is
    ("done", result) or ("error", text). An engine may raise anything, and each error is an answer. What
    it prints, also from C, goes to the file `printed`.
    """
    with printed.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    work = _Work(engine_name)
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        try:
            answer: tuple[str, object] = ("done", work.do(message))
        except Exception as error:
            answer = ("error", _in_a_line(error)[:LONGEST])
        connection.send(answer)


def _in_a_line(error: Exception) -> str:
    """What an error says; those of this package without their class and what stands below."""
    if isinstance(error, HandcraftError):
        return error.what
    first = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


@dataclass
class _Work:
    """The engine, and the model that it loaded last."""

    name: str
    engine: Engine | None = None
    loaded: Loaded | None = None

    def do(self, message: tuple[object, ...]) -> Facts | Outcome | None:
        """Do what a message says."""
        match message:
            case ("load", Path() as folder, str(dtype)):
                self.loaded = None
                assert self.engine is not None
                self.loaded = self.engine.load(folder, dtype)
                return None
            case ("answer", Request() as request):
                assert self.loaded is not None
                return self.loaded.answer(request)
        self.engine = engine_named(self.name)
        return self.engine.facts
