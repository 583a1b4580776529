"""Python's garbage collector runs rarely while something is compiled.

What the compiler makes stays, and thousands of rules are millions of objects. The collector looks after
every 700 new objects for those that only refer to each other, which would take up to half of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS = 100_000
"""After so many new objects it looks; what it may find by then takes some tens of megabytes."""


@contextmanager
def rare_collection() -> Iterator[None]:
    """Let the garbage collector run rarely; one that is switched off stays so.

    >>> before = gc.get_threshold()
    >>> with rare_collection():
    ...     gc.get_threshold()[0] >= OBJECTS
    True
    >>> gc.get_threshold() == before
    True
    """
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(OBJECTS, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
