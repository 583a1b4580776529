"""Run Python's garbage collector less often while something is compiled.

What the compiler makes stays in use, and thousands of rules are millions of objects. After every 700
new objects the collector searches for cycles of unused ones, which takes up to half of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS = 100_000
"""How many new objects there are between two searches; unused ones take tens of megabytes at most."""


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
