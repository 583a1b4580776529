"""An engine in a process of its own: it is started, asked, and started again when it failed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Literal, Protocol

from handcraft.conformance.cases.request import Outcome, Request
from handcraft.conformance.engines.engine import Facts
from handcraft.conformance.run.worker import LONGEST, serve
from handcraft.errors import ConformanceError

START_SECONDS = 300.0
"""How long an engine may take to be imported, and to load a model."""

POLITE_SECONDS = 5.0
"""How long an engine may take to end by itself."""


@dataclass(frozen=True)
class Trouble:
    """An engine gave no answer.

    Args:
        kind: it raised an error, its process ended, or it took too long.
        text: what is known of it.
    """

    kind: Literal["error", "crashed", "hung"]
    text: str


class Running(Protocol):
    """An engine that can be asked."""

    def facts(self) -> Facts:
        """What is known of it."""
        ...

    def load(self, folder: Path, dtype: str) -> Trouble | None:
        """Load a model; None if it worked."""
        ...

    def answer(self, request: Request) -> Outcome | Trouble:
        """Run a request on the model that was loaded last."""
        ...


class Supervised:
    """An engine by its name.

    Args:
        name: as `engine_named` takes it.
        seconds: how long one case may take.
        printed: the file that takes what it prints.
    """

    def __init__(self, name: str, seconds: float, printed: Path) -> None:
        self.name = name
        self.seconds = seconds
        self.printed = printed
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._loaded: tuple[Path, str] | None = None
        self._patience = START_SECONDS  # shorter once the engine has hung

    def facts(self) -> Facts:
        """What is known of the engine.

        Raises:
            ConformanceError: it cannot be started.
        """
        found = self._asked(("facts",), START_SECONDS)
        if isinstance(found, Trouble):
            raise ConformanceError(
                f"the engine cannot be started: {found.text}",
                where=f"the engine {self.name}",
                fix="install what it needs in this environment, or name another engine",
            )
        facts: Facts = found
        return facts

    def load(self, folder: Path, dtype: str) -> Trouble | None:
        """Load a model; None if it worked, or was loaded already."""
        if self._loaded == (folder, dtype):
            return None
        if self._process is None:
            started = self._asked(("facts",), START_SECONDS)
            if isinstance(started, Trouble):
                return replace(started, text=f"it does not start again: {started.text}")
        found = self._asked(("load", folder, dtype), self._patience)
        if isinstance(found, Trouble):
            if found.kind == "hung":
                self._patience = self.seconds
            return found
        self._loaded = (folder, dtype)
        return None

    def answer(self, request: Request) -> Outcome | Trouble:
        """Run a request on the model that was loaded last."""
        found = self._asked(("answer", request), self.seconds)
        if isinstance(found, Outcome | Trouble):
            return found
        return Trouble("error", f"it gave {type(found).__name__} in place of an outcome")

    def stop(self, patience: float = POLITE_SECONDS) -> None:
        """End the process.

        Args:
            patience: for how many seconds it may end by itself.
        """
        if self._connection is not None:
            self._connection.close()  # after which a process that listens ends by itself
        if self._process is not None:
            self._process.join(patience)
            self._process.kill()
            self._process.join()
        self._process = self._connection = self._loaded = None

    def _asked(self, message: tuple[Any, ...], seconds: float) -> Any:
        if self._process is None:
            self._start()
        process, connection = self._process, self._connection
        assert process is not None
        assert connection is not None
        try:
            connection.send(message)
            if not connection.poll(seconds):
                self.stop(patience=0)
                return Trouble("hung", f"it gave no answer within {seconds:g} s")
            state, result = connection.recv()
        except (EOFError, OSError):
            process.join(5)
            code = process.exitcode
            self.stop()
            return Trouble("crashed", f"its process ended with {_ended(code)}{self._last_line()}")
        return Trouble("error", str(result)) if state == "error" else result

    def _last_line(self) -> str:
        """The last line that it printed, which often says why it ended."""
        lines = self.printed.read_text(errors="replace").strip().splitlines()
        return f": {lines[-1].strip()[:LONGEST]}" if lines else ""

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=serve, args=(other, self.name, self.printed), daemon=True
        )
        self._process.start()
        other.close()


def _ended(code: int | None) -> str:
    """How a process ended."""
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


@contextmanager
def supervised(name: str, seconds: float) -> Iterator[Supervised]:
    """An engine that is stopped in the end."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Supervised(name, seconds, Path(folder) / "printed")
        try:
            yield engine
        finally:
            engine.stop()
