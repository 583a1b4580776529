"""Write a folder completely or not at all."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from handcraft.errors import CheckpointError

MANIFEST = "handcraft.json"
"""The file by which a folder is known as one that handcraft wrote."""

DISGUISE = "disguise.json"
"""What is known of a model that was disguised, and of the original; its map is in `DISGUISE_MAP`."""

DISGUISE_MAP = "disguise.safetensors"

WRITTEN = frozenset(
    {
        MANIFEST,
        DISGUISE,
        DISGUISE_MAP,
        "README.md",
        "certificate.json",
        "config.json",
        "generation_config.json",
        "model.gguf",
        "model.npz",
        "model.onnx",
        "model.onnx.data",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
)
"""Every file name that is ever written into such a folder."""


@dataclass(frozen=True)
class Content:
    """By what a folder is known as an earlier output, which may be replaced.

    Args:
        manifests: files of which every output has one.
        written: all names that an output may have, the manifests among them.
        numbered: a regular expression of further names that it may have.
    """

    manifests: frozenset[str]
    written: frozenset[str]
    numbered: str | None = None

    def foreign(self, names: set[str]) -> list[str]:
        """Those of some names that no output has."""
        left = names - self.written
        if self.numbered is not None:
            left = {name for name in left if not re.fullmatch(self.numbered, name)}
        return sorted(left)


A_MODEL = Content(frozenset({MANIFEST, DISGUISE}), WRITTEN)
"""The content of a folder that holds a model."""


def check_place(path: Path) -> None:
    """Raise unless the folder exists in which a command is to write a file or a folder.

    On a command line a folder that is missing is more often a typing error than meant; `save` and
    `write_file`, which are called from Python, make it.

    Raises:
        CheckpointError: there is no such folder.
    """
    with _explained(path):
        if path.parent.is_dir():
            return
        if any(parent.is_file() for parent in path.parents):
            raise NotADirectoryError
    raise CheckpointError(
        f"{path} cannot be written: there is no folder {path.parent}",
        where=path,
        fix=f"mkdir -p {shlex.quote(str(path.parent))}; or name a place in a folder that exists",
    )


def check_target(folder: Path, content: Content = A_MODEL) -> None:
    """Raise unless `folder` can be replaced: it is missing, empty, or an earlier output.

    Args:
        folder: the folder.
        content: what an earlier output contains.

    Raises:
        CheckpointError: it is a file, or contains something that handcraft did not write.
    """
    with _explained(folder):
        exists = os.path.lexists(folder) or folder.exists()
    if not exists:
        return
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is a file", where=folder, fix="name a folder that does not exist yet"
        )
    with _explained(folder):
        names = {entry.name for entry in folder.iterdir()}
    foreign = content.foreign(names)
    if names and (foreign or not names & content.manifests):
        shown = ", ".join(foreign[:3] or sorted(names)[:3])
        raise CheckpointError(
            f"{folder} contains something else: {shown}",
            where=folder,
            fix="name another folder, or empty this one",
        )


@contextmanager
def whole_folder(folder: Path, content: Content = A_MODEL) -> Iterator[Path]:
    """A new folder to write into, which replaces `folder` once everything is written.

    If anything fails, including by an interrupt, `folder` stays as it was.

    Args:
        folder: the folder to write.
        content: what an earlier output contains, which may be replaced.

    Raises:
        CheckpointError: `folder` contains something else, or its place cannot be written.
    """
    check_target(folder, content)
    with _explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with _explained(folder):
            yield fresh
            fresh.chmod(0o755)
            _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    r"""Write a text, with an escape such as ``\udcff`` in place of what UTF-8 has no bytes for.

    File names and expressions may contain such characters; JSON reads the escape as the character.
    """
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_file(path: Path, data: bytes) -> None:
    """Write one file completely or not at all.

    Raises:
        CheckpointError: its place cannot be written.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    fresh = Path(name)
    try:
        with _explained(path), os.fdopen(handle, "wb") as file:
            file.write(data)
        with _explained(path):
            fresh.chmod(0o644)
            fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _swap(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`; the old one is removed only once the new one is there."""
    if not folder.exists():
        fresh.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    try:
        folder.rename(old)  # onto an empty folder
        fresh.rename(folder)
    except BaseException:
        if not folder.exists():
            old.rename(folder)
        raise
    finally:
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        files = [parent for parent in path.parents if parent.is_file()]
        why = f"{files[0]} is not a folder" if files else error.strerror or error
        raise CheckpointError(
            f"{path} cannot be written: {why}",
            where=path,
            fix="choose a place with write permission and enough space",
        ) from error
