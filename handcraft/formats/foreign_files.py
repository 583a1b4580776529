"""Untrusted files: found without leaving their folder, and read with every value checked."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from handcraft.errors import CheckpointError
from handcraft.limits import JSON_BYTES, check_memory

PARSED = 24
"""Bytes of memory for each byte of JSON: of `[],[]`, three of which make a list of 64 bytes."""

MOST_AXES = 8
"""More axes than any weight has; the product of very many sizes would take long to compute."""


def is_shape(sizes: Sequence[object]) -> bool:
    """Whether sizes out of a file are those of an array that can be."""
    return len(sizes) <= MOST_AXES and all(type(n) is int and 0 <= n < 2**63 for n in sizes)


def shown(value: object) -> str:
    """A value from a file, for a message: never long, and without control characters."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    text = short.repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def whole(value: object) -> int:
    """A whole number from a file; not one in quotes, with a decimal point, or true or false."""
    if type(value) is not int:
        raise ValueError(f"expected a whole number, not {shown(value)}")
    return value


def shown_text(text: object) -> str:
    r"""A text about a file, for a message: not long, and without control characters.

    >>> shown_text("bad" + chr(7))
    'bad\\x07'
    """
    text = str(text)
    kept = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:400])
    return kept if len(text) <= 400 else f"{kept}..."


def import_extra(package: str, what: str) -> Any:
    """The package that writes some format, which is installed only with an extra of its name."""
    try:
        return import_module(package)
    except ImportError:
        raise CheckpointError(
            f"writing {what} needs the {package} package, which is not installed",
            fix=f"pip install 'handcraft[{package}]'",
        ) from None


def contradiction(what: str, place: Path) -> CheckpointError:
    """The error for files of a compiled folder that do not fit together."""
    return CheckpointError(what, where=place, fix="compile the program again")


def check_folder(folder: Path, writer: str) -> None:
    """Raise unless there is a folder; `writer` is what writes such folders."""
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}",
            where=folder,
            fix=f"name a folder that {writer} wrote",
        )


def find_file(folder: Path, name: str) -> Path | None:
    """The file called `name` in a folder; None where there is none.

    A link may lead elsewhere in the folder, or to where the Hugging Face cache keeps what the files
    of ``snapshots/<revision>/`` link to: ``blobs/`` beside ``snapshots/``.

    Raises:
        CheckpointError: it is a link out of the folder, or not a regular file.
    """
    path = folder / name
    try:
        if not os.path.lexists(path):
            return None
        home, real = folder.resolve(), path.resolve()
        blobs = [home.parent.parent / "blobs"] if home.parent.name == "snapshots" else []
        if not any(real.is_relative_to(place) for place in (home, *blobs)):
            raise CheckpointError(
                f"{name} is a link that leaves the folder",
                where=path,
                fix="put the file itself into the folder",
            )
        if not real.is_file():
            raise CheckpointError(
                f"{name} is not a regular file", where=path, fix="put the file itself into the folder"
            )
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise CheckpointError(
            f"{name} cannot be read: {error}", where=path, fix="put the file itself into the folder"
        ) from error
    return path


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: it cannot be read, is not a JSON object, or has a key twice.
    """
    try:
        size = path.stat().st_size
        if size > JSON_BYTES.most:
            raise ValueError(f"it has {size} bytes; the limit is {JSON_BYTES.most}")
        check_memory(size * PARSED, f"{size:,} bytes of JSON", where=path)
        return parse_object(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path.name} cannot be read: {shown_text(error)}",
            where=path,
            fix="it is damaged; fetch it again",
        ) from error


def parse_object(data: bytes) -> dict[str, Any]:
    """Strict JSON: one object, no name twice, no NaN.

    Raises:
        ValueError: it is something else.
        RecursionError: it is nested too deeply.
    """
    value = json.loads(data.decode(), object_pairs_hook=_only_once, parse_constant=_refuse_constant)
    if not isinstance(value, dict):
        raise ValueError(f"it contains {shown(value)}, not a JSON object")
    return value


def _only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"it names {shown(name)} twice")
        found[name] = value
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it contains {name}, which is not JSON")
