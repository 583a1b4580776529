"""Read npz files: every header before any number, so that a small file cannot unpack to a huge one.

An npz is a zip of npy files. The zip states the unpacked size of each member, and an npy file begins
with a header that states its type and shape. Both are read and compared before the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy

from handcraft.formats.foreign_files import is_shape
from handcraft.model.layers.attention import Array

SUFFIX = ".npy"


@dataclass(frozen=True)
class NpzTensor:
    """A tensor of an npz file that was not read yet."""

    path: Path
    member: str
    type: str
    shape: tuple[int, ...]

    def values(self) -> Array:
        """Its values."""
        with ZipFile(self.path) as archive, archive.open(self.member) as file:
            return npy.read_array(file, allow_pickle=False)


def npz_tensors(path: Path) -> dict[str, NpzTensor]:
    """The tensors of an npz file by name, none of them read yet.

    Raises:
        ValueError: a name occurs twice, a member is not an array of plain numbers, or its header
            contradicts the size in the zip.
        Exception: of many kinds, where the file is damaged.
    """
    found: dict[str, NpzTensor] = {}
    with ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(SUFFIX)
            if name in found or name == member.filename:
                raise ValueError(f"it contains {member.filename[:80]!r}, twice, or not as an array")
            with archive.open(member) as file:
                dtype, shape = _read_header(file)
                size = file.tell() + prod(shape) * dtype.itemsize
            if size != member.file_size:
                raise ValueError(
                    f"{name[:80]!r} of shape {list(shape)} takes {size:,} bytes, but the zip gives it "
                    f"{member.file_size:,}"
                )
            found[name] = NpzTensor(path, member.filename, dtype.name, shape)
    return found


def _read_header(file: IO[bytes]) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    """The type and the shape that an npy file states."""
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"it contains an array of format {version}")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError(
            "it contains pickled objects, and reading a pickle runs whatever code is in it"
        )
    if not is_shape(shape):
        raise ValueError("it contains an array with an impossible shape")
    return dtype, shape
