"""Read the file of tensors: safetensors or npz, both with the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from handcraft.architecture import Architecture
from handcraft.dtype import DTYPE_NAMES
from handcraft.errors import CheckpointError
from handcraft.formats.foreign_files import find_file, shown, shown_text
from handcraft.formats.tensors.npz_file import npz_tensors
from handcraft.formats.tensors.shards import FLOATS, StoredTensor, check_finite, read_header
from handcraft.limits import check_memory
from handcraft.model import Shape
from handcraft.model.attention import Array

FILES = ("model.safetensors", "model.npz")
"""The files that tensors are read from."""

OTHER_TYPES = {
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "BOOL": "bool",
}
"""What NumPy calls the types of safetensors that no model here has."""

PREFIX = "transformer."
"""What some files put before every name."""


def read_tensors(folder: Path, shape: Shape, architecture: Architecture) -> dict[str, Array]:
    """Read the tensors of a model of the given sizes; all headers are checked before any number.

    Raises:
        CheckpointError: no file or two, a damaged one, tensors that are missing, foreign, of the
            wrong shape or type, or not finite.
        LimitError: they take more memory than may be used.
    """
    found = [path for file in FILES if (path := find_file(folder, file)) is not None]
    if len(found) != 1:
        names = " and ".join(path.name for path in found) or "neither of " + ", ".join(FILES)
        fix = "keep the one that was compiled" if found else "compile the program again"
        raise CheckpointError(f"the folder has {names}", where=folder, fix=fix)
    path = found[0]
    expected = shape.tensors(architecture)
    with _explained(path):
        stored = _read_headers(path)
    _check_headers(stored, expected, path)
    size = sum(prod(sizes) for sizes in expected.values())
    itemsize = stored[next(iter(expected))].dtype.itemsize
    check_memory(size * itemsize, f"a model of {size:,} parameters", where=path)
    with _explained(path):
        tensors = {name: stored[name].read() for name in expected}
    for name, tensor in tensors.items():
        check_finite(name, tensor, path, "compile the program again")
    return tensors


class Stored(Protocol):
    """A tensor in a file, of which only the header was read."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""

    def read(self) -> Array:
        """Its values."""


@dataclass(frozen=True)
class _OfSafetensors:
    """A tensor of a safetensors file, with its type as NumPy calls it."""

    stored: StoredTensor
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    def read(self) -> Array:
        return self.stored.values()


def _read_headers(path: Path) -> dict[str, Stored]:
    """The tensors of a file by their plain names."""
    if path.suffix == ".npz":
        return {name.removeprefix(PREFIX): tensor for name, tensor in npz_tensors(path).items()}
    return {
        name.removeprefix(PREFIX): _OfSafetensors(tensor, _numpy_type(tensor.dtype))
        for name, tensor in read_header(path).items()
    }


def _numpy_type(code: str) -> np.dtype[Any]:
    """The type that safetensors calls by a code.

    Raises:
        ValueError: NumPy has none.
    """
    if code in FLOATS:
        return FLOATS[code].numpy
    if code not in OTHER_TYPES:
        raise ValueError(f"it contains tensors of type {shown(code)}")
    return np.dtype(OTHER_TYPES[code])


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """The errors of a damaged file: its readers may raise almost any of them."""
    try:
        yield
    except Exception as error:
        raise CheckpointError(
            f"{path.name} cannot be read: {shown_text(getattr(error, 'what', error))}",
            where=path,
            fix="it is damaged or of another kind; compile the program again",
        ) from error


def _check_headers(
    tensors: Mapping[str, Stored], expected: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    missing = [name for name in expected if name not in tensors]
    foreign = [name for name in tensors if name not in expected]
    if missing or foreign:
        what = f"lacks {missing[0]}" if missing else f"has {foreign[0][:80]}, which the model does not"
        raise CheckpointError(f"{path.name} {what}", where=path, fix="compile the program again")
    dtypes = sorted({tensor.dtype.name for tensor in tensors.values()})
    if len(dtypes) != 1 or dtypes[0] not in DTYPE_NAMES:
        raise CheckpointError(
            f"the tensors are of type {' and '.join(dtypes)}",
            where=path,
            fix=f"all must be {' or all '.join(DTYPE_NAMES)}",
        )
    for name, sizes in expected.items():
        if tensors[name].shape != sizes:
            raise CheckpointError(
                f"{name} is {list(tensors[name].shape)}, and the sizes of the model make it "
                f"{list(sizes)}",
                where=path,
                fix="compile the program again",
            )
