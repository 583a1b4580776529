"""An executor whose first worker is killed in its work, as a system does that is out of memory."""

from __future__ import annotations

import os

from handcraft_check.processes import Processes


class Killing(Processes):
    """Processes of which the first ends without an answer.

    Args:
        workers: how many there are.
        flag: a file that does not exist; it does when the worker was killed.
    """

    def __init__(self, workers, flag):
        super().__init__(workers)
        self.flag = flag

    def submit(self, function, *arguments):
        return super().submit(killed_once, self.flag, function, *arguments)


def killed_once(flag, function, *arguments):
    """Do some work, but end the process when it is the first."""
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        return function(*arguments)
    os._exit(9)
