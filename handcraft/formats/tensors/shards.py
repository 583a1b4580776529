"""Tensors in an untrusted folder: safetensors, in one file or in shards.

No memory is allocated for a tensor before its header has been compared with the length of the file.
The header is read here and not by the safetensors package, which has no bfloat16 for NumPy, and whose
errors name no sizes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from handcraft.dtype import DTYPES
from handcraft.errors import CheckpointError
from handcraft.formats.foreign_files import find_file, is_shape, parse_object, read_object, shown
from handcraft.limits import JSON_BYTES
from handcraft.model.layers.attention import Array
from handcraft.vocabulary import shorten

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")

FLOATS = {dtype.code: dtype for dtype in DTYPES}
"""The types that are read, by their names in safetensors."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file that was not read yet; its bytes are known to be there.

    Args:
        name: its name in the file.
        path: the file.
        dtype: the name of its type in safetensors, such as ``F32``.
        shape: its sizes.
        begin: where its bytes begin in the file.
        end: where they end.
    """

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def type(self) -> str:
        """The name of its type in NumPy, or in safetensors where it is none of `FLOATS`."""
        return FLOATS[self.dtype].name if self.dtype in FLOATS else self.dtype

    def read(self) -> Array:
        """Its values, in the type in which they are stored, which must be one of `FLOATS`.

        Raises:
            CheckpointError: the file cannot be read, or a value is not finite.
        """
        try:
            values = self.values()
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.path.name} cannot be read: {error}", where=self.path, fix="fetch it again"
            ) from error
        check_finite(shown(self.name), values, self.path, "train or export the model again")
        return values

    def values(self) -> Array:
        """The same, finite or not."""
        dtype = FLOATS[self.dtype].numpy
        flat = np.fromfile(self.path, dtype, prod(self.shape), offset=self.begin)
        values: Array = flat.reshape(self.shape)
        return values


def type_that_holds(codes: set[str]) -> np.dtype[np.floating]:
    """The smallest type that represents every value of some of `FLOATS` exactly."""
    code = min(codes) if len(codes) == 1 else "F64" if "F64" in codes else "F32"
    return FLOATS[code].numpy


def check_finite(name: str, values: Array, path: Path, fix: str) -> None:
    """Raise unless every value of a tensor is a finite number."""
    finite = np.isfinite(values)
    if not finite.all():
        place = np.argwhere(~finite)[0].tolist()
        raise CheckpointError(
            f"{name} has {values[tuple(place)]} at {place}",
            where=path,
            fix=f"a weight is a finite number; {fix}",
        )


def find_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor in the safetensors files of a folder, by name, none of them read yet.

    Raises:
        CheckpointError: there are no such files, a shard is missing, or a header contradicts its file
            or the index.
    """
    single = find_file(folder, SINGLE)
    if single is not None:
        return read_header(single)
    index = find_file(folder, INDEX)
    if index is None:
        raise _nothing_to_read(folder)
    tensors: dict[str, StoredTensor] = {}
    for name, listed in _names_by_shard(index).items():
        shard = find_file(folder, name)
        if shard is None:
            raise CheckpointError(
                f"the shard {name} is missing, and {len(listed)} tensors with it, {shown(min(listed))} "
                "among them",
                where=index,
                fix=f"put {name} into the folder",
            )
        found = read_header(shard)
        for tensor in sorted(listed ^ found.keys()):
            what = "lacks" if tensor in listed else "also has"
            raise CheckpointError(
                f"{name} {what} {shown(tensor)}, contrary to {INDEX}",
                where=shard,
                fix="fetch the shards and the index again, from one place",
            )
        tensors |= found
    return tensors


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one safetensors file, none of them read yet.

    Raises:
        CheckpointError: the header is damaged, or its tensors do not fill the file exactly.
    """
    try:
        with path.open("rb") as file:
            header, end, size = _read_header(file)
        header.pop("__metadata__", None)
        tensors = [_stored(path, end, size - end, name, entry) for name, entry in header.items()]
        for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
            if tensor.begin != end:
                raise ValueError(
                    f"{shown(tensor.name)} begins at byte {tensor.begin}, and what is before it "
                    f"ends at byte {end}"
                )
            end = tensor.end
        if end != size:
            raise ValueError(f"its tensors should end at byte {end}, and the file has {size}")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path.name} cannot be read: {error}",
            where=path,
            fix="it is cut off, or no safetensors file (a Git LFS pointer?); fetch it again",
        ) from error
    return {tensor.name: tensor for tensor in tensors}


def read_metadata(path: Path) -> dict[str, object]:
    """What the header of a safetensors file says besides its tensors; nothing where it says nothing."""
    try:
        with path.open("rb") as file:
            found = _read_header(file)[0].get("__metadata__", {})
        if not isinstance(found, dict):
            raise ValueError(f"its __metadata__ is {shown(found)}")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path.name} cannot be read: {error}", where=path, fix="fetch it again"
        ) from error
    return found


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], int, int]:
    """The header, the byte at which it ends, and the size of the file."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise ValueError(f"its header should be {length} bytes long, and the file has {size}")
    if length > JSON_BYTES.most:
        raise ValueError(f"its header is {length} bytes long; the limit is {JSON_BYTES.most}")
    return parse_object(file.read(length)), 8 + length, size


def _stored(path: Path, data: int, size: int, name: str, entry: object) -> StoredTensor:
    """The entry of one tensor in a header; the tensors begin at byte `data` and take `size` bytes."""
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            raise ValueError(f"the header describes {shown(name)} as {shown(entry)}")
    if not is_shape(shape):
        raise ValueError(f"the header gives {shown(name)} the shape {shown(shape)}")
    if not 0 <= begin <= end <= size:
        raise ValueError(
            f"the header puts {shown(name)} at bytes {shown(begin)} to {shown(end)} of {size}"
        )
    needed = prod(shape) * FLOATS[dtype].numpy.itemsize if dtype in FLOATS else end - begin
    if needed != end - begin:
        raise ValueError(
            f"{shown(name)} of shape {shape} and type {dtype} takes {needed} bytes, "
            f"and the header gives it {end - begin}"
        )
    return StoredTensor(name, path, dtype, tuple(shape), data + begin, data + end)


def _names_by_shard(index: Path) -> dict[str, set[str]]:
    """The names of the tensors that an index expects in each shard."""
    listed = read_object(index).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise CheckpointError(
            f"{INDEX} has no weight_map, or an empty one", where=index, fix="fetch it again"
        )
    names: dict[str, set[str]] = {}
    for tensor, shard in listed.items():
        if not isinstance(shard, str) or not re.fullmatch(r"[\w.-]{1,100}\.safetensors", shard):
            raise CheckpointError(
                f"{INDEX} has {shown(tensor)} in {shown(shard)}, which is not a file name of a shard",
                where=index,
                fix="shards are files in the folder itself, with names that end in .safetensors",
            )
        names.setdefault(shard, set()).add(tensor)
    return dict(sorted(names.items()))


def _nothing_to_read(folder: Path) -> CheckpointError:
    """Why a folder without safetensors cannot be read."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return CheckpointError(
            f"{folder} cannot be read: {error}", where=folder, fix="name a folder that you may read"
        )
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles:
        return CheckpointError(
            f"{shown(pickles[0])} is a pickle, and reading a pickle runs whatever code is in it",
            where=folder,
            fix="if you trust it, convert it to safetensors: "
            "GPT2LMHeadModel.from_pretrained(FOLDER).save_pretrained(OTHER)",
        )
    others = shorten([shown(name) for name in names], 3) or "nothing"
    return CheckpointError(
        f"the folder has no {SINGLE} and no {INDEX}, but {others}",
        where=folder,
        fix="name a folder that save_pretrained wrote",
    )
