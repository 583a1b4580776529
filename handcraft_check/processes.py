"""Processes of this machine as an executor, which ends also where one of them is killed."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

CLOSES_ITS_PIPE = sys.version_info >= (3, 11, 5)
"""Whether Python closes the pipe of a broken executor itself: a second thread must not close it too."""


class Processes(ProcessPoolExecutor):
    """An executor of `concurrent.futures` that does not wait for ever after a worker was killed.

    In older versions of Python a thread of the executor goes on writing to the pipe of workers that are
    dead, if the pipe is full (CPython issue 94777). Newer ones close it; for the others this does.
    """

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As `Executor.shutdown`."""
        queue = getattr(self, "_call_queue", None)
        if self._broken and queue is not None and not CLOSES_ITS_PIPE:
            queue._reader.close()
        super().shutdown(wait, cancel_futures=cancel_futures)
