"""Python files with programs: run one, and choose among what it defines."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from handcraft.circuits import Circuits
from handcraft.cli.input.expressions import Expressions, find_expressions, names_of_expressions
from handcraft.cli.input.read_text import read_text
from handcraft.errors import CommandError, HandcraftError
from handcraft.language import Program

MEANS = "means"
"""A program of this name beside circuits states what they are to mean."""


def run_file(path: Path) -> dict[str, object]:
    """What a Python file defines, by name.

    Raises:
        HandcraftError: the file raised it.
        CommandError: the file raised something else, or cannot be read.
    """
    read_text(path)
    try:
        with _folder_importable(path.resolve().parent):
            return runpy.run_path(str(path))
    except HandcraftError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        inside = [frame.lineno for frame in frames if frame.filename == str(path)]
        line = next(reversed(inside), None)
        where = f"{path}:{line}" if line else str(path)
        if isinstance(error, SyntaxError):
            where = f"{error.filename or path}:{error.lineno}" if error.lineno else str(path)
        detail = f": {error}" if str(error) else ""
        raise CommandError(
            f"{path.name} raised {type(error).__name__}{detail}",
            where=where,
            fix="fix the error: the file is run from top to bottom",
        ) from error


def choose(
    defined: Mapping[str, object], wanted: str | None, path: Path
) -> Program | Circuits | Expressions:
    """The one program that a Python file defines, or the one of a name; else its expressions."""
    found = {
        name: value
        for name, value in defined.items()
        if isinstance(value, Program | Circuits) and not name.startswith("_")
    }
    if wanted is not None:
        if wanted in found:
            return found[wanted]
        expressions = find_expressions(defined, wanted, path)
        if expressions is not None:
            return expressions
        known = [*found, *names_of_expressions(defined)]
        raise CommandError(
            f"{path} has no program and no expression {wanted!r}",
            fix=f"it has: {', '.join(known) or 'none'}",
        )
    if any(isinstance(value, Circuits) for value in found.values()):
        found.pop(MEANS, None)
    distinct = {id(value): value for value in found.values()}
    if not distinct:
        expressions = find_expressions(defined, None, path)
        if expressions is not None:
            return expressions
        raise CommandError(
            f"{path} contains neither a program nor expressions",
            where=path,
            fix='write program = Program(...), circuits = Circuits(...) or outputs = {"name": ...}',
        )
    if len(distinct) > 1:
        first = next(iter(found))
        raise CommandError(
            f"{path} contains {len(distinct)} programs: {', '.join(found)}",
            where=path,
            fix=f"name one, as in {path}:{first}",
        )
    return next(iter(distinct.values()))


@contextmanager
def _folder_importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the program may have tidied it away
            sys.path.remove(str(folder))
