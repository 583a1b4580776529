"""Work divided among processes, with the results in the order in which one process has them."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

from handcraft.progress import advance, listening
from handcraft.verify.sent import as_bytes, from_bytes

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 32
"""How many items are given to others at most before the first result is needed: they take memory."""

_local = threading.local()
"""What a worker does, and the key of it; each thread has its own."""


@contextmanager
def in_order(
    work: Callable[[Item], Result], items: Iterator[Item], executor: Executor | None
) -> Iterator[Iterator[Result]]:
    """A context manager that gives what `work` makes of each item, in their order.

    If a worker dies, this process computes the rest. When the block is left early, as by Ctrl-C, what
    nobody has begun is not done.

    Args:
        work: what to do; it is sent to workers, with the programs and models in it.
        items: what to do it with, made as it is needed; each can be pickled.
        executor: of `concurrent.futures` or like it; None for this process.

    Raises:
        ModelError: the work cannot be sent.
    """
    if executor is None:
        yield map(work, items)
        return
    asked: deque[tuple[Item, Future[Result] | None]] = deque()
    try:
        yield _results(work, as_bytes(work), items, executor, asked)
    finally:
        for _, future in asked:
            if future is not None:
                future.cancel()


def _results(
    work: Callable[[Item], Result],
    data: bytes,
    items: Iterator[Item],
    executor: Executor,
    asked: deque[tuple[Item, Future[Result] | None]],
) -> Iterator[Result]:
    """The results in order; `asked` are the items that others have, the first of them in front."""
    key = uuid.uuid4().hex
    for item in items:
        asked.append((item, _asked(executor, key, data, item)))
        if len(asked) >= AHEAD:
            yield _taken(work, *asked.popleft())
    while asked:
        yield _taken(work, *asked.popleft())


def _asked(executor: Executor, key: str, data: bytes, item: Any) -> Future[Any] | None:
    """The result to come of an item; None where nobody is left to ask."""
    try:
        return executor.submit(at_worker, key, data, item)
    except BrokenExecutor:
        return None


def _taken(work: Callable[[Item], Result], item: Item, future: Future[Result] | None) -> Result:
    """The result of an item: a worker's, or computed here where that worker ended."""
    try:
        if future is not None:
            return future.result()
    except BrokenExecutor:
        advance("a worker ended: what is left is computed here", 0, 0)
    return work(item)


def at_worker(key: str, data: bytes, item: Any) -> Any:
    """Do the work that was sent, with one item."""
    if getattr(_local, "key", None) != key:
        _local.key, _local.work = None, from_bytes(data)
        _local.key = key
    with listening(None):  # the process that asked shows how far all have come
        return _local.work(item)
