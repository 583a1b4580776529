"""Reading the file that holds the tensors: safetensors or npz, both by the same names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from handcraft.architecture import Architecture
from handcraft.errors import CheckpointError
from handcraft.model import Shape
from handcraft.model.attention import Array

FILES = ("model.safetensors", "model.npz")
"""The files that tensors are read from."""

FLOATS = ("float32", "float64", "float16", "bfloat16")
"""The dtypes that are read."""

PREFIX = "transformer."
"""What some files put before every name."""


def read_tensors(folder: Path, shape: Shape, architecture: Architecture) -> dict[str, Array]:
    """Read the tensors of a model of the given sizes.

    Raises:
        CheckpointError: no file or two, a damaged one, tensors that are missing, foreign, of the
            wrong shape or type, or not finite.
    """
    found = [folder / file for file in FILES if (folder / file).exists()]
    if len(found) != 1:
        names = " and ".join(path.name for path in found) or "neither of " + ", ".join(FILES)
        fix = "keep the one that was compiled" if found else "compile the program again"
        raise CheckpointError(f"the folder holds {names}", where=folder, fix=fix)
    path = found[0]
    tensors = {name.removeprefix(PREFIX): tensor for name, tensor in _read_file(path).items()}
    expected = shape.tensors(architecture)
    _check_tensors(tensors, expected, path)
    return {name: tensors[name] for name in expected}


def _read_file(path: Path) -> dict[str, Array]:
    import ml_dtypes  # noqa: F401 - safetensors knows bfloat16 only where this is imported

    try:
        if path.suffix == ".npz":
            return _read_archive(path)
        return load_file(path)
    except Exception as error:  # a damaged file makes its readers raise almost anything
        raise CheckpointError(
            f"{path.name} cannot be read: {error}",
            where=path,
            fix="it is damaged or of another kind; compile the program again",
        ) from error


def _read_archive(path: Path) -> dict[str, Array]:
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array, and no archive of them")
        with archive:
            tensors = {name: archive[name] for name in archive.files}
    foreign = [name for name, tensor in tensors.items() if not isinstance(tensor, np.ndarray)]
    if foreign:
        raise ValueError(f"{foreign[0]} is no array")
    return tensors


def _check_tensors(
    tensors: Mapping[str, Array], expected: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    missing = [name for name in expected if name not in tensors]
    foreign = [name for name in tensors if name not in expected]
    if missing or foreign:
        what = f"lacks {missing[0]}" if missing else f"has {foreign[0]}, which the model does not"
        raise CheckpointError(f"{path.name} {what}", where=path, fix="compile the program again")
    dtypes = sorted({tensor.dtype.name for tensor in tensors.values()})
    if len(dtypes) != 1 or dtypes[0] not in FLOATS:
        raise CheckpointError(
            f"the tensors are of type {' and '.join(dtypes)}",
            where=path,
            fix=f"all must be {' or all '.join(FLOATS)}",
        )
    for name, sizes in expected.items():
        tensor = tensors[name]
        if tensor.shape != sizes:
            raise CheckpointError(
                f"{name} is {list(tensor.shape)}, and the sizes of the model make it {list(sizes)}",
                where=path,
                fix="compile the program again",
            )
        finite = np.isfinite(tensor)
        if not finite.all():
            place = np.argwhere(~finite)[0].tolist()
            raise CheckpointError(
                f"{name} holds {tensor[tuple(place)]} at {place}",
                where=path,
                fix="a weight is a finite number; compile the program again",
            )
