"""`handcraft new`: a first program to change."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from handcraft.cli.input.options import Json
from handcraft.cli.output.first_program import first_program
from handcraft.cli.output.printing import print_json
from handcraft.errors import CommandError

EXAMPLES = ("handcraft new mine", "handcraft new first.py")

NAME = re.compile(r"\w[\w-]*")
"""The names that a program can have: no blanks, so that commands need no quotes."""


def new(
    name: Annotated[str, typer.Argument(help="What to call it, or the file to write.")],
    json_: Json = False,
) -> None:
    """Write a first program to change. It compiles and verifies, and its comments say what to try.

    The file must not exist yet.
    """
    path = Path(name if name.endswith(".py") else f"{name}.py")
    if not NAME.fullmatch(path.stem):
        raise CommandError(
            f"{path.stem!r} is not a valid program name",
            fix="use letters, digits, _ and -, as in `handcraft new mine`",
        )
    from handcraft.formats import check_place

    check_place(path)
    text = first_program(path.stem, shlex.quote(str(path)))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(
            f"{path} exists already", where=path, fix=f"name another: {_free(path)}"
        ) from None
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written: {error.strerror}",
            where=path,
            fix="name a file in a folder that exists and that you may write to",
        ) from error
    if json_:
        print_json({"file": str(path)})
    else:
        print(f"wrote {path}; try: handcraft run {shlex.quote(str(path))} abca -n 4")


def _free(path: Path) -> Path:
    """A similar name that is not taken."""
    number = 2
    while (found := path.with_stem(f"{path.stem}{number}")).exists():
        number += 1
    return found
