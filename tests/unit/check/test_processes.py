"""An executor of processes ends, also where a worker is killed while work is sent to it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import BrokenExecutor

import pytest

from handcraft_check.processes import Processes

LARGE = bytes(1 << 20)
"""More than a pipe takes at once."""


def test_an_executor_ends_after_a_worker_was_killed():
    """The thread that writes to the workers has more to write than dead workers have read."""
    failed = []

    def work():
        with Processes(2) as pool:
            futures = [pool.submit(os._exit, 9), *(pool.submit(len, LARGE) for _ in range(16))]
            for future in futures:
                try:
                    future.result()
                except BrokenExecutor as error:
                    failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert failed


def test_an_executor_without_a_killed_worker_does_its_work():
    with Processes(2) as pool:
        assert list(pool.map(len, [LARGE, b"", LARGE])) == [1 << 20, 0, 1 << 20]
    with pytest.raises(RuntimeError):
        pool.submit(len, b"")
