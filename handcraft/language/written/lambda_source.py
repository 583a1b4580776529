"""How a lambda is written, so that two of them read differently."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable
from functools import lru_cache
from types import FunctionType

from handcraft.origin import Code

LONGEST = 40
"""The most characters of a lambda that is shown; a longer one is `lambda ...`."""

UNKNOWN = "lambda ..."

Place = tuple[int, int]
"""A line and a column."""


def lambda_source(function: Callable[..., object]) -> str:
    """The lambda as it is written, on one line; `lambda ...` where that is long or not known.

    >>> print(lambda_source(len))
    lambda ...
    """
    if not isinstance(function, FunctionType):
        return UNKNOWN
    return _source_of(Code(function.__code__))


@lru_cache(maxsize=1024)
def _source_of(key: Code) -> str:
    code, file = key.code, key.code.co_filename
    linecache.checkcache(file)
    body = [
        ((line, column), (last, end))
        for line, last, column, end in code.co_positions()
        if line is not None and last is not None and column is not None and end
    ]
    if not body:
        return UNKNOWN
    first, last = min(start for start, _ in body), max(end for _, end in body)
    found = [
        (end[0] - start[0], end[1] - start[1], text)
        for start, end, arguments, text in _lambdas("".join(linecache.getlines(file)))
        if start <= first and last <= end and arguments == code.co_varnames[: len(arguments)]
    ]
    text = min(found, default=(0, 0, UNKNOWN))[-1]
    return text if len(text) <= LONGEST else UNKNOWN


@lru_cache(maxsize=32)
def _lambdas(source: str) -> tuple[tuple[Place, Place, tuple[str, ...], str], ...]:
    """The lambdas of a file: where the body of each begins and ends, its arguments, and its text."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            body = node.body
            if body.end_lineno is None or body.end_col_offset is None:
                continue
            given = [*node.args.posonlyargs, *node.args.args]
            found.append(
                (
                    (body.lineno, body.col_offset),
                    (body.end_lineno, body.end_col_offset),
                    tuple(each.arg for each in given),
                    ast.unparse(node),
                )
            )
    return tuple(found)
