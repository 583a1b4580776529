"""Read the file of tensors: safetensors or npz, both with the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path

from handcraft.architecture import Architecture
from handcraft.dtype import DTYPE_NAMES, numpy_dtype
from handcraft.errors import CheckpointError
from handcraft.formats.foreign_files import contradiction, find_file, shown_text
from handcraft.formats.tensors.npz_file import NpzTensor, npz_tensors
from handcraft.formats.tensors.safetensors_file import prefix_of
from handcraft.formats.tensors.shards import StoredTensor, check_finite, read_header
from handcraft.limits import check_memory
from handcraft.model import Shape
from handcraft.model.layers.attention import Array

FILES = ("model.safetensors", "model.npz")
"""The files that tensors are read from."""

Stored = NpzTensor | StoredTensor


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
        stored = _read_headers(path, prefix_of(architecture))
    _check_headers(stored, expected, path)
    size = sum(prod(sizes) for sizes in expected.values())
    itemsize = numpy_dtype(stored[next(iter(expected))].type).itemsize
    check_memory(size * itemsize, f"a model of {size:,} parameters", where=path)
    with _explained(path):
        tensors = {name: stored[name].values() for name in expected}
    for name, tensor in tensors.items():
        check_finite(name, tensor, path, "compile the program again")
    return tensors


def _read_headers(path: Path, prefix: str) -> Mapping[str, Stored]:
    """The tensors of a file by their plain names, which some files have with a prefix."""
    found: Mapping[str, Stored] = npz_tensors(path) if path.suffix == ".npz" else read_header(path)
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """The errors of a damaged file: its readers may raise almost any of them."""
    try:
        yield
    except Exception as error:
        unread = f"{path.name} cannot be read: "
        why = shown_text(getattr(error, "what", error)).removeprefix(unread)  # the reader may say so
        raise CheckpointError(
            f"{unread}{why}",
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
        raise contradiction(f"{path.name} {what}", path)
    types = sorted({tensor.type for tensor in tensors.values()})
    if len(types) != 1 or types[0] not in DTYPE_NAMES:
        raise CheckpointError(
            f"the tensors are of type {' and '.join(map(shown_text, types))}",
            where=path,
            fix=f"all must be {' or all '.join(DTYPE_NAMES)}",
        )
    for name, sizes in expected.items():
        if tensors[name].shape != sizes:
            found = list(tensors[name].shape)
            what = f"{name} is {found}, and the sizes of the model make it {list(sizes)}"
            raise contradiction(what, path)
