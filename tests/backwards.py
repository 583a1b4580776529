"""An executor that does its work late and in the wrong order, on copies, as a cluster may."""

from __future__ import annotations

import pickle
from concurrent.futures import Executor, Future


class Backwards(Executor):
    """Nothing is done until it is needed; then all that waits is, the last first, by a copy.

    It counts in `done` what it did.
    """

    def __init__(self):
        self.waiting, self.done = [], 0

    def submit(self, function, *arguments):
        future = Needed(self)
        self.waiting.append((future, pickle.dumps((function, arguments))))
        return future


class Needed(Future):
    """A future whose work is done when its result is asked for."""

    def __init__(self, executor):
        super().__init__()
        self.executor = executor

    def result(self, timeout=None):
        while self.executor.waiting:
            future, work = self.executor.waiting.pop()
            function, arguments = pickle.loads(work)
            self.executor.done += 1
            try:
                future.set_result(function(*arguments))
            except Exception as error:
                future.set_exception(error)
        return super().result(timeout)
