"""The mutants of a file: each changes one token, or one condition, of what it computes."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "handcraft"


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: str
    line: int
    function: str
    """The qualified name of the function that is changed; empty outside of functions."""
    old: str
    new: str
    source: str
    """The whole file, changed."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line} `{_short(self.old)}` -> `{_short(self.new)}`"


def _short(text: str) -> str:
    return text if len(text) <= 48 else text[:45] + "..."


SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "all": "any", "any": "all"}


def mutants_of(path: str) -> list[Mutant]:
    """Every mutant of a file of the package, in the order of its lines."""
    source = (PACKAGE / path).read_text(encoding="utf-8")
    whole = source.encode()
    starts = [0]
    for line in whole.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, function in _computed(ast.parse(source), "", ""):
        for old, new in _changes(node):
            start = starts[old.lineno - 1] + old.col_offset
            end = starts[old.end_lineno - 1] + old.end_col_offset
            before, after = ast.unparse(old), ast.unparse(new)
            text = (whole[:start] + f"({after})".encode() + whole[end:]).decode()
            found.append(Mutant(path, old.lineno, function, before, after, text))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.old, mutant.new))


def sample(paths: list[str], count: int, seed: int) -> list[Mutant]:
    """So many mutants of each file, or all that it has; the same for the same seed and file."""
    found = []
    for path in paths:
        every = mutants_of(path)
        chosen = random.Random(f"{seed} {path}").sample(every, min(count, len(every)))
        found += sorted(chosen, key=lambda mutant: mutant.line)
    return found


def _changes(node: ast.AST) -> Iterator[tuple[Any, ast.expr]]:
    """Expressions at a node, and what each becomes."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield node, _changed(node, ops=[SWAPPED[type(node.ops[0])]()])
    elif isinstance(node, ast.BoolOp) or (isinstance(node, ast.BinOp) and type(node.op) in SWAPPED):
        yield node, _changed(node, op=SWAPPED[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node, node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield node, ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield node, ast.Constant(node.value + 1)
        yield node, ast.Constant(node.value - 1)
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield node, ast.Name(NAMES[node.id])
    conditions = [node.test] if isinstance(node, ast.If | ast.IfExp) else []
    conditions += node.ifs if isinstance(node, ast.comprehension) else []
    for condition in conditions:
        yield condition, ast.Constant(True)
        yield condition, ast.Constant(False)  # also leaves out the `return` of a guard


def _changed(node: ast.expr, **changes: Any) -> ast.expr:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


LEFT_OUT = (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)
"""Errors, and what is checked twice; no test reads the wording of every error."""
UNCOMPUTED = {"annotation", "returns", "decorator_list"}


def _computed(node: ast.AST, function: str, prefix: str) -> Iterator[tuple[ast.AST, str]]:
    """All below a node that decides what is computed, and the function that it is in.

    `strict=` of zip and the imports for types change nothing while the program is right.
    """
    if isinstance(node, ast.FunctionDef):
        function = f"{prefix}{node.name}"
        prefix = f"{function}.<locals>."
    elif isinstance(node, ast.ClassDef):
        prefix = f"{prefix}{node.name}."
    yield node, function
    for name, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST) and name not in UNCOMPUTED and not _is_left_out(each):
                yield from _computed(each, function, prefix)


def _is_left_out(node: ast.AST) -> bool:
    return (
        isinstance(node, LEFT_OUT)
        or (isinstance(node, ast.keyword) and node.arg == "strict")
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    )
