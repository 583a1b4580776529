"""When a program was saved: its file, and the modules beside it that it imports, are looked at in turn.

Looking is cheap, works on every file system, and needs no library.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

PAUSE = 0.2
"""Seconds between two looks."""

State: TypeAlias = tuple[tuple[Path, int, int], ...]
"""The files with the time and the size of each, when they were looked at."""


def state_of(program: Path) -> State:
    """How a program is stored now; nothing where it is missing, as for a moment while it is saved."""
    found = []
    for file in [program, *_imported(program)]:
        try:
            status = file.stat()
        except OSError:
            return ()
        found.append((file, status.st_mtime_ns, status.st_size))
    return tuple(found)


def saves(program: Path) -> Iterator[State]:
    """The state of a program at first, and after each change, once two looks in a row are the same."""
    known: State = ()
    before: State = ()
    while True:
        now = state_of(program)
        if now and now == before and now != known:
            known = now
            yield now
        before = now
        time.sleep(PAUSE)


def _imported(program: Path) -> list[Path]:
    """The modules in the folder of a program that it imports, and that those import."""
    found: dict[Path, None] = {}
    waiting = [program]
    while waiting:
        file = waiting.pop()
        if file.suffix != ".py":
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError, RecursionError):
            continue  # it is broken now, and another save will mend it
        for name in _names(tree):
            beside = program.with_name(f"{name}.py")
            if beside != program and beside not in found and beside.is_file():
                found[beside] = None
                waiting.append(beside)
    return list(found)


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
