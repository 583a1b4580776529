"""disguise.json and disguise.safetensors: what was done to a model, and the map from the original.

The map is stored as arrays, never as code: the matrix of the stream, and for each block the numbers of
the old heads and hidden units with the matrices of their channels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.disguise.carried import NONE, Carried, HeadCopy, Place
from handcraft.dtype import dtype_named
from handcraft.errors import CheckpointError, HandcraftError
from handcraft.formats.folder import DISGUISE, DISGUISE_MAP, write_text
from handcraft.formats.foreign_files import contradiction, find_file, read_object, whole
from handcraft.formats.manifest.convert import strict
from handcraft.formats.tensors.safetensors_file import Pending, write_safetensors
from handcraft.formats.tensors.shards import read_header
from handcraft.limits import BLOCKS, check_memory
from handcraft.model import Shape
from handcraft.model.layers.attention import Array
from handcraft.proofs.certificate import sha256

VERSION = 1
"""The version of disguise.json that is written and read."""

PARTS = ("query", "key", "value", "output")
"""The matrices of a copied head."""

Data = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One transform that was applied.

    Args:
        transform: its name.
        parameters: by name.
        guarantee: what it keeps, and why.
        seed: of its random numbers.
    """

    transform: str
    parameters: Data
    guarantee: str
    seed: int


@dataclass(frozen=True)
class Record:
    """What is known of a disguised model.

    Args:
        original: the hashes of the files of the original, by name; none if it was no folder.
        steps: the transforms, in order; if the model was disguised several times, all of them.
        carried: the map from the original.
        judged: how the answers were judged: "meaning" or "original", how many, and the margins.
        measured: numbers that transforms measured, by name.
        files: the hashes of the files of this folder.
    """

    original: Mapping[str, str]
    steps: tuple[Step, ...]
    carried: Carried
    judged: Data
    measured: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def write_record(record: Record, folder: Path) -> None:
    """Write both files into a folder."""
    carried = record.carried
    path = folder / DISGUISE_MAP
    write_safetensors(path, _arrays(carried), {"format": "np", "origin": "handcraft: disguise.json"})
    hashes = {**record.files, DISGUISE_MAP: sha256(path)}
    data = {
        "disguise": VERSION,
        "original": {"files": dict(record.original), "shape": asdict(carried.old)},
        "files": hashes,
        "shape": asdict(carried.new),
        "steps": [asdict(step) for step in record.steps],
        "judged": record.judged,
        "measured": dict(record.measured),
        "blocks": list(carried.blocks),
        "heads": [
            [None if copy is None else list(copy.source) for copy in each] for each in carried.heads
        ],
        "distractor_heads": sorted(map(list, carried.distractor_heads)),
        "distractor_units": sorted(map(list, carried.distractor_units)),
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in data.items())
    write_text(folder / DISGUISE, f"{{\n{lines}\n}}\n")


def read_record(folder: str | Path) -> Record:
    """What the two files of a disguised folder say.

    Raises:
        CheckpointError: they are missing, damaged, or not of this folder.
    """
    folder = Path(folder)
    path = find_file(folder, DISGUISE)
    if path is None:
        raise CheckpointError(
            f"the folder has no {DISGUISE}",
            where=folder,
            fix="name a folder that `handcraft disguise` wrote",
        )
    data = read_object(path)
    if data.get("disguise") != VERSION:
        raise contradiction(f"{DISGUISE} is not of version {VERSION}", path)
    try:
        return _record(data, folder)
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, HandcraftError) as error:
        raise contradiction(f"{DISGUISE} is malformed: {error}", path) from error


def _record(data: Data, folder: Path) -> Record:
    files = {
        strict(name, str): strict(found, str) for name, found in strict(data["files"], dict).items()
    }
    for name, expected in files.items():
        found = find_file(folder, name)
        if found is None or sha256(found) != expected:
            raise contradiction(f"{name} is not the file that {DISGUISE} is about", folder / name)
    steps = tuple(
        Step(
            strict(step["transform"], str),
            strict(step["parameters"], dict),
            strict(step["guarantee"], str),
            whole(step["seed"]),
        )
        for step in strict(data["steps"], list)
    )
    return Record(
        strict(data["original"]["files"], dict),
        steps,
        _carried(data, folder / DISGUISE_MAP),
        strict(data["judged"], dict),
        strict(data["measured"], dict),
        files,
    )


def _shape(data: Data) -> Shape:
    sizes = [whole(data[name]) for name in ("n_vocab", "n_positions", "n_embd", "n_head")]
    inner = tuple(map(whole, strict(data["n_inner"], list)))
    if min(sizes) < 1 or min(inner, default=0) < 0 or len(inner) > BLOCKS.most:
        raise ValueError("sizes that no model has")
    return Shape(sizes[0], sizes[1], sizes[2], sizes[3], inner)


def _carried(data: Data, path: Path) -> Carried:
    """The map; every size is checked against the shapes of both models."""
    old, new = _shape(data["original"]["shape"]), _shape(data["shape"])
    stored = read_header(path)

    def array(name: str, *sizes: int) -> Array:
        tensor = stored[name]
        if tensor.shape != sizes:
            raise ValueError(f"{name} is {list(tensor.shape)} and should be {list(sizes)}")
        check_memory(8 * int(np.prod(sizes)), name, where=path)
        return tensor.read().astype(np.float64)

    def numbers(name: str, size: int, below: int) -> Any:
        found = array(name, size)
        if not ((found == np.round(found)) & (found >= NONE) & (found < below)).all():
            raise ValueError(f"{name} has numbers other than {NONE} to {below - 1}")
        return found.astype(np.int64)

    blocks = tuple(None if each is None else whole(each) for each in strict(data["blocks"], list))
    if len(blocks) != new.n_layer or any(
        each is not None and not 0 <= each < old.n_layer for each in blocks
    ):
        raise ValueError("blocks that the models do not have")
    heads, units, shares = [], [], []
    for block, (before, rows) in enumerate(zip(blocks, strict(data["heads"], list), strict=True)):
        copies: list[HeadCopy | None] = []
        for i, row in enumerate(strict(rows, list)):
            if row is None:
                copies.append(None)
                continue
            source = Place(*map(whole, row))
            if source.block != before or not 0 <= source.number < old.n_head:
                raise ValueError(f"head {i} of block {block} is a copy of {row}")
            maps = (array(f"h.{block}.head.{i}.{part}", new.head_dim, old.head_dim) for part in PARTS)
            copies.append(HeadCopy(source, *maps))
        if len(copies) != new.n_head:
            raise ValueError(f"{len(copies)} heads in block {block}")
        inner = old.n_inner[before] if before is not None else 0
        heads.append(tuple(copies))
        units.append(numbers(f"h.{block}.units", new.n_inner[block], inner))
        shares.append(array(f"h.{block}.shares", new.n_inner[block]))
    return Carried(
        old,
        new,
        array("stream", new.n_embd, old.n_embd),
        blocks,
        tuple(heads),
        tuple(units),
        tuple(shares),
        numbers("tokens", new.n_vocab, old.n_vocab),
        _places(data["distractor_heads"], new, new.n_head),
        _places(data["distractor_units"], new, max(new.n_inner, default=0)),
    )


def _places(rows: Any, shape: Shape, count: int) -> frozenset[Place]:
    found = [Place(*map(whole, row)) for row in strict(rows, list)]
    if any(not 0 <= at.block < shape.n_layer or not 0 <= at.number < count for at in found):
        raise ValueError("distractors that the model does not have")
    return frozenset(found)


def _arrays(carried: Carried) -> dict[str, Pending]:
    """Everything of a map that is an array, in float64."""
    arrays: dict[str, Array] = {
        "stream": carried.stream,
        "tokens": carried.tokens.astype(np.float64),
    }
    for block, copies in enumerate(carried.heads):
        for i, copy in enumerate(copies):
            if copy is not None:
                arrays |= {f"h.{block}.head.{i}.{part}": getattr(copy, part) for part in PARTS}
        arrays[f"h.{block}.units"] = carried.units[block].astype(np.float64)
        arrays[f"h.{block}.shares"] = carried.shares[block]
    dtype = dtype_named("float64")
    return {
        name: Pending(each.shape, dtype, partial(np.asarray, each, np.float64))
        for name, each in arrays.items()
    }
