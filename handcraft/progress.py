"""How far long work has come: told by whoever works, shown by whoever asked.

Work calls `advance`; where nobody listens that costs next to nothing. A listener is set for a stretch
of code, as the standard library's decimal context is, so that no pass needs an argument for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is to do."""

_listener: ContextVar[Progress | None] = ContextVar("listener", default=None)


@contextmanager
def listening(progress: Progress | None) -> Iterator[None]:
    """Within it, all work tells `progress` how far it has come.

    >>> with listening(lambda stage, done, total: print(f"{stage}: {done} of {total}")):
    ...     advance("place weights", 2, 10)
    place weights: 2 of 10
    """
    before = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(before)


def advance(stage: str, done: int, total: int) -> None:
    """Say how far a stage has come.

    Args:
        stage: what is being done, such as ``place weights``.
        done: how much of it is done.
        total: how much there is to do.
    """
    listener = _listener.get()
    if listener is not None:
        listener(stage, done, total)
