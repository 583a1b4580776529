"""The name that an author gave to a value: the variable that it is assigned to where it is made.

A value is made by a call or an operator at some instruction of the author's code. Where the source of
that instruction is the whole right side of an assignment, the value has the name of the variable; where
it is the whole result of a function, the assignment may be where that function was called. Nothing is
looked up later, so a name is known as soon as the value is, in a file, in a cell of a notebook and in a
function, and a variable that is assigned again names each of its values.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import FrameType
from typing import NamedTuple, TypeAlias

from handcraft.origin import Code

Range: TypeAlias = tuple[int, int, int, int]
"""The first line and the last one, then the column of each: lines from 1, columns in bytes, from 0."""

RETURNED = ""
"""Stands for the name of what a function returns: no variable has it."""

MOST_CALLS = 20
"""How many functions may return a value to one another before it is assigned."""


LONGEST_KEY = 24
"""The most characters of a key in a name."""


class _Result(NamedTuple):
    """What an instruction makes.

    Args:
        name: its name.
        is_call: whether the instruction is a call.
        key: the variable that is its key in the dictionary of that name; None where it is none.
    """

    name: str
    is_call: bool
    key: str | None = None


def variable_name(frame: FrameType | None, package: str) -> tuple[str, bool] | None:
    """The variable that the value made at the current instruction of a frame is assigned to.

    Args:
        frame: of the author's code; it has called what makes the value.
        package: no frame of this package is the author's, and none is looked behind.

    Returns:
        The name, and whether the instruction is a call; None where it is not assigned to a variable, or
        the source is not known.
    """
    is_call: bool | None = None
    for _ in range(MOST_CALLS):
        if frame is None or _is_in(frame, package):
            return None
        found = _names_in(Code(frame.f_code)).get(frame.f_lasti // 2)
        if found is None:
            return None
        is_call = found.is_call if is_call is None else is_call
        if found.name != RETURNED:
            return _with_key(found, frame), is_call
        frame = frame.f_back
    return None


def _with_key(found: _Result, frame: FrameType) -> str:
    """The name; of an item of a dictionary that is built in a loop, with its key."""
    key = None if found.key is None else frame.f_locals.get(found.key)
    if not isinstance(key, str | int) or len(repr(key)) > LONGEST_KEY:
        return found.name
    return f"{found.name}[{key!r}]"


def _is_in(frame: FrameType, package: str) -> bool:
    return f"{frame.f_globals.get('__name__')}.".startswith(f"{package}.")


@lru_cache(maxsize=256)
def _names_in(key: Code) -> Mapping[int, _Result]:
    """The names of what the instructions of some code make, by the number of the instruction."""
    code, file = key.code, key.code.co_filename
    linecache.checkcache(file)  # the file may have been edited since another program was read from it
    named = _named_ranges("".join(linecache.getlines(file)))
    if not named:
        return {}
    found = {}
    for number, (line, last, column, end) in enumerate(code.co_positions()):
        if line is None or last is None or column is None or end is None:
            continue
        if (result := named.get((line, last, column, end))) is not None:
            found[number] = result
    return found


@lru_cache(maxsize=32)
def _named_ranges(source: str) -> Mapping[Range, _Result]:
    """The names of the expressions that are assigned or returned, by the range of their source."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[Range, _Result] = {}
    for statement in ast.walk(tree):
        for name, value in _assigned(statement):
            for each, result in _results(name, value):
                for place in _ranges(each):
                    found.setdefault(place, result)
    return found


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What a statement or an expression assigns or returns, each with its name."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _unpacked(target, value)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield from _unpacked(target, value)
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value
        case ast.AugAssign(target=target):
            yield from _unpacked(target, node)
        case ast.Return(value=ast.expr() as value):
            yield RETURNED, value
        case ast.Lambda(body=body):
            yield RETURNED, body


def _unpacked(target: ast.expr, value: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match target, value:
        case ast.Name(id=name), _:
            if name.strip("_"):
                yield name, value
        case ast.Attribute(attr=name), _:
            yield name, value
        case ast.Tuple(elts=targets) | ast.List(elts=targets), ast.Tuple(elts=values) | ast.List(
            elts=values
        ):
            stars = any(isinstance(each, ast.Starred) for each in (*targets, *values))
            if len(targets) == len(values) and not stars:
                for one, other in zip(targets, values, strict=True):
                    yield from _unpacked(one, other)


def _results(name: str, value: ast.AST, key: str | None = None) -> Iterator[tuple[ast.AST, _Result]]:
    """The expressions that give the value, or an item of it, each with its name."""
    match value:
        case ast.IfExp(body=yes, orelse=no):
            yield from _results(name, yes, key)
            yield from _results(name, no, key)
        case ast.List(elts=items) | ast.Tuple(elts=items) if name != RETURNED:
            if not any(isinstance(item, ast.Starred) for item in items):
                for i, item in enumerate(items):
                    yield from _results(f"{name}[{i}]", item)
        case ast.Dict(keys=keys, values=items) if name != RETURNED:
            for given, item in zip(keys, items, strict=True):
                if isinstance(given, ast.Constant) and len(repr(given.value)) <= LONGEST_KEY:
                    yield from _results(_named_by(given.value, name), item)
        case ast.DictComp(key=ast.Name(id=given), value=item) if name != RETURNED:
            yield from _results(name, item, given)
        case ast.ListComp(elt=item) if name != RETURNED:
            yield from _results(name, item)
        case _:
            yield value, _Result(name, isinstance(value, ast.Call), key)


def _named_by(key: object, name: str) -> str:
    """The name of an item of a dictionary: its key where that is a word, as of a table of outputs."""
    is_word = isinstance(key, str) and len(key) > 1 and key.isprintable() and key.strip() == key
    return str(key) if is_word else f"{name}[{key!r}]"


def _ranges(value: ast.AST) -> Iterator[Range]:
    """Where the instruction that makes a value may say that it is."""
    if not isinstance(value, ast.BinOp | ast.UnaryOp | ast.Compare | ast.Call | ast.AugAssign):
        return
    line, last, column, end = value.lineno, value.end_lineno, value.col_offset, value.end_col_offset
    if last is None or end is None:
        return
    yield line, last, column, end
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        # a method on a further line than its object: Python gives the place of its name
        attribute = value.func
        if attribute.end_lineno is not None and attribute.end_col_offset is not None:
            start = attribute.end_col_offset - len(attribute.attr.encode())
            yield attribute.end_lineno, last, start, end
