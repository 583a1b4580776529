"""Progress of long work: reported by the code that does the work, shown by a listener.

Work calls `advance`, which costs almost nothing without a listener. A listener is set for a block of
code, like the decimal context of the standard library, so that no pass needs an argument for it.
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
    """A context manager in which all work reports its progress to `progress`.

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
    """Report the progress of a stage."""
    listener = _listener.get()
    if listener is not None:
        listener(stage, done, total)
