"""Ctrl-C: work in progress is undone, and the command ends with one line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Interrupted(BaseException):
    """Ctrl-C was pressed. Not an `Exception`, so that no handler of failures catches it."""


@contextmanager
def interruptible() -> Iterator[None]:
    """A context manager in which Ctrl-C, or a `KeyboardInterrupt`, raises `Interrupted`.

    The first Ctrl-C ends the work; while that is being undone, further ones are ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise Interrupted

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted from None
    finally:
        signal.signal(signal.SIGINT, before)
