"""Recursive functions over user input of any depth, without Python's stack.

Such a function is a generator: it yields a call instead of making it, and is sent the result.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar, cast

Result = TypeVar("Result")

Call: TypeAlias = "Generator[Call[Any], Any, Result]"
"""An unfinished call: it yields other calls, and returns a result."""


def finish(call: Call[Result]) -> Result:
    """What comes of a call, with the calls that wait for one another on a list.

    >>> def depth(brackets):
    ...     return 1 + (yield from result_of(depth(brackets[1:-1]))) if brackets else 0
    >>> finish(depth("(" * 5_000 + ")" * 5_000))
    5000
    """
    waiting: list[Call[Any]] = [call]
    result: Any = None
    while waiting:
        try:
            waiting.append(waiting[-1].send(result))
        except StopIteration as end:
            waiting.pop()
            result = end.value
        else:
            result = None
    return cast(Result, result)


def result_of(call: Call[Result]) -> Call[Result]:
    """The result of a call inside another; use it after ``yield from``."""
    result: Result = yield call
    return result
