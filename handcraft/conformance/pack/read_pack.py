"""Read a pack: only if every file is the one that was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cattrs import BaseValidationError, Converter

from handcraft.conformance.pack.case import Case
from handcraft.errors import ConformanceError
from handcraft.formats.foreign_files import read_object

MANIFEST = "conformance.json"
"""The file that lists all others with their hashes; it has a hash of itself."""

CASES = "cases.json"
SCHEMA = "cases.schema.json"
VERSION = 1


@dataclass(frozen=True)
class ModelFiles:
    """A model of a pack.

    Args:
        name: its name.
        computes: what it computes, in one sentence.
        architecture: gpt2 or llama.
        n_vocab: how many logits there are.
        n_positions: how many tokens a prompt may have.
        formats: where it is in each format, relative to the pack.
        readings: what an answer says, by id.
    """

    name: str
    computes: str
    architecture: str
    n_vocab: int
    n_positions: int
    formats: Mapping[str, str]
    readings: Mapping[int, str]


@dataclass(frozen=True)
class Pack:
    """A pack as it was read.

    Args:
        folder: where it is.
        hash: the hash of everything in it.
        models: the models by name.
        faults: what an engine with each fault does, by id.
        cases: the cases in order.
    """

    folder: Path
    hash: str
    models: Mapping[str, ModelFiles]
    faults: Mapping[str, str]
    cases: tuple[Case, ...]


def read_pack(folder: Path) -> Pack:
    """Read a pack, after a comparison of all files with their hashes.

    Raises:
        ConformanceError: there is no pack, or a file of it is missing or was edited.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ConformanceError(
            f"{folder} is not a pack: it has no {MANIFEST}",
            where=folder,
            fix=f"handcraft conformance -o {folder}",
        )
    manifest = read_object(path)
    if manifest.get("hash") != hash_of(manifest):
        raise _edited(path)
    if manifest.get("version") != VERSION or not isinstance(manifest.get("files"), dict):
        raise ConformanceError(
            f"the pack is of version {manifest.get('version')}, and {VERSION} can be read",
            where=path,
            fix=f"handcraft conformance -o {folder}",
        )
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.is_file() or file_hash(file) != expected:
            raise _edited(file)
    known = {folder / name for name in manifest["files"]} | {path}
    added = sorted(file for file in folder.rglob("*") if file.is_file() and file not in known)
    if added:
        raise ConformanceError(
            f"{added[0].name} is not of the pack: it was added later",
            where=added[0],
            fix="remove it, since engines may read it",
        )
    try:
        cases = read_object(folder / CASES)["cases"]
        return CONVERTER.structure({**manifest, "folder": str(folder), "cases": cases}, Pack)
    except (BaseValidationError, KeyError) as error:
        raise ConformanceError(
            f"the pack is of another version: {type(error).__name__}",
            where=folder / CASES,
            fix=f"handcraft conformance -o {folder}",
        ) from error


def hash_of(manifest: Mapping[str, Any]) -> str:
    """The hash of a manifest without the hash in it."""
    rest = {key: value for key, value in manifest.items() if key != "hash"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _edited(path: Path) -> ConformanceError:
    state = "was edited" if path.exists() else "is missing"
    return ConformanceError(
        f"{path.name} {state}: the pack is not the one that was written",
        where=path,
        fix="write the pack again with handcraft conformance -o, or fetch it again",
    )


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=False)
    converter.register_structure_hook(int | None, lambda value, _: value)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    return converter


CONVERTER = _converter()
"""Between the dataclasses here and plain data."""
