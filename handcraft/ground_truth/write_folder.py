"""Write the ground truth of a model to a folder, completely or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from handcraft.errors import GroundTruthError
from handcraft.formats import save
from handcraft.formats.folder import Content, check_target, whole_folder
from handcraft.ground_truth.json_file import json_bytes
from handcraft.ground_truth.part import Made, Part, Wanted
from handcraft.ground_truth.parts import PARTS, chosen_parts
from handcraft.ground_truth.subject import LaidOut
from handcraft.progress import advance

MANIFEST = "ground_truth.json"
"""The file by which a folder is known as one that holds ground truth."""

VERSION = 1
"""Of the files, as the manifest gives it: it counts up when a reader would have to change."""

MODEL = "model"
"""The folder in it with the model, where that was compiled for the purpose."""

CONTENT = Content(
    frozenset({MANIFEST}),
    frozenset({MANIFEST, MODEL, *(file for part in PARTS for file in part.files)}),
)


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        folder: where.
        files: the names of the files, in order.
        lines: the summary of each part, in words.
        left_out: the parts that the model does not have, and why.
    """

    folder: Path
    files: tuple[str, ...]
    lines: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def check_ground_truth_target(folder: str | Path) -> None:
    """Raise unless a folder can be written: it is missing, empty, or an earlier output.

    Raises:
        CheckpointError: it is a file, or contains something else.
    """
    check_target(Path(folder), CONTENT)


def write_ground_truth(
    subject: LaidOut,
    folder: str | Path,
    *,
    what: Sequence[str] | None = None,
    wanted: Wanted = Wanted(),  # noqa: B008 - frozen
) -> Written:
    """Write the ground truth of a model to a folder, completely or not at all.

    The same model and the same settings give the same bytes.

    Args:
        subject: the model.
        folder: must be missing, empty, or an earlier output, which is then replaced.
        what: the parts to write, by name; by default all that the model has.
        wanted: the settings of all parts.

    Raises:
        GroundTruthError: a part is unknown, or the model has no such ground truth.
        CheckpointError: the folder contains something else, or cannot be written.
    """
    target = Path(folder)
    check_ground_truth_target(target)
    parts = chosen_parts(what)
    made: dict[Part, Made] = {}
    left_out: list[tuple[str, str]] = []
    for number, part in enumerate(parts):
        advance("derive ground truth", number, len(parts))
        try:
            made[part] = part.make(subject, wanted)
        except GroundTruthError as error:
            if what is not None:
                raise
            left_out.append((part.name, error.what))
    with whole_folder(target, CONTENT) as fresh:
        if subject.compiled is not None:
            save(subject.compiled, fresh / MODEL)
        for each in made.values():
            for name, contents in each.files.items():
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(contents)
        manifest = {
            "ground_truth": VERSION,
            "model": _model(subject, fresh),
            "settings": {"examples": wanted.examples, "seed": wanted.seed},
            "parts": {part.name: dict(each.summary) for part, each in made.items()},
            "left_out": dict(left_out),
            "files": _hashes(fresh, (name for each in made.values() for name in each.files)),
        }
        (fresh / MANIFEST).write_bytes(json_bytes(manifest))
    written = (name for each in made.values() for name in each.files)
    names = dict.fromkeys(_shown(name) for name in written)
    own = [f"{MODEL}/"] if subject.compiled is not None else []
    lines = tuple(line for each in made.values() for line in each.lines)
    return Written(target, (MANIFEST, *names, *own), lines, tuple(left_out))


def _shown(name: str) -> str:
    """A file as it is listed: a folder stands for all files in it."""
    folder, slash, _ = name.partition("/")
    return folder + slash


def _model(subject: LaidOut, fresh: Path) -> dict[str, object]:
    """Which model it is: what it is called, and the hashes of its files."""
    folder = fresh / MODEL if subject.compiled is not None else subject.folder
    if folder is None:
        return {"name": subject.name}
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return {
        "name": subject.name,
        "folder": MODEL if subject.compiled is not None else str(subject.name),
        "files": _hashes(folder, names),
    }


def _hashes(folder: Path, names: Iterable[str]) -> dict[str, dict[str, object]]:
    """The size and the hash of files."""
    found: dict[str, dict[str, object]] = {}
    for name in names:
        contents = (folder / name).read_bytes()
        found[name] = {"bytes": len(contents), "sha256": hashlib.sha256(contents).hexdigest()}
    return found
