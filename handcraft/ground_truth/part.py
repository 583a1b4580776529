"""One part of the ground truth of a model: what makes it, and the files that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from handcraft.ground_truth.subject import LaidOut


@dataclass(frozen=True)
class Wanted:
    """What a user asks for of every part.

    Args:
        examples: about how many prompts, or pairs of prompts, are tried where not all can be.
        seed: of what is drawn.
    """

    examples: int = 256
    seed: int = 0


@dataclass(frozen=True)
class Made:
    """What a part consists of.

    Args:
        files: the contents of each file, by its path in the folder.
        summary: what the manifest says of the part: plain data, the same at every run.
        lines: the same in words, to be printed.
    """

    files: Mapping[str, bytes] = field(repr=False)
    summary: Mapping[str, object]
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One part of the ground truth.

    Args:
        name: what `--what` calls it.
        says: a description of one line.
        files: the names of all files, or of folders of files, that it may have.
        make: makes it. It raises `GroundTruthError` for a model that has no such ground truth.
    """

    name: str
    says: str
    files: tuple[str, ...]
    make: Callable[[LaidOut, Wanted], Made]
