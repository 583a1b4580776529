"""Ctrl-C: whatever is being done is undone, and the command ends with one line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Interrupted(BaseException):
    """Somebody pressed Ctrl-C. As no `Exception`, it is not taken for a failure on its way."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it Ctrl-C raises `Interrupted`, and so does a program that raises `KeyboardInterrupt`.

    The first Ctrl-C ends the work; while that is being undone, further ones are ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears of signals
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
