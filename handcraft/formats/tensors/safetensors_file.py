"""Write safetensors files tensor by tensor: only one is in memory at a time.

The format is a header and the numbers: eight bytes with the length of the header, the header as JSON
with the type, the shape and the place of every tensor, then the tensors one after the other. The
safetensors package writes only what is in memory all at once, and does not fix the order of metadata;
reading is left to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.architecture import Architecture
from handcraft.dtype import DType, dtype_named
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.progress import advance

ALIGNMENT = 8
"""The header is padded with blanks to a multiple of this, so that numbers are aligned."""


@dataclass(frozen=True)
class Pending:
    """A tensor that is made when its turn comes."""

    shape: tuple[int, ...]
    dtype: DType
    make: Callable[[], Array]


NO_FLOATS = {"bool": "BOOL", "int32": "I32", "int64": "I64"}
"""What the format calls types that are no floats; what it calls the others is in `dtype.py`."""


def write_safetensors(path: Path, tensors: Mapping[str, Pending], metadata: Mapping[str, str]) -> None:
    """Write tensors in the order given; the same ones give the same bytes."""
    sizes = {
        name: (tensor.dtype.code, tensor.shape, prod(tensor.shape) * tensor.dtype.numpy.itemsize)
        for name, tensor in tensors.items()
    }
    with path.open("wb") as file:
        file.write(_header(sizes, metadata))
        for number, tensor in enumerate(tensors.values()):
            advance("write tensors", number, len(tensors))
            file.write(np.ascontiguousarray(tensor.make()).view(np.uint8).data)


def safetensors_bytes(arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """A whole file of arrays of numbers, in the order given; the same ones give the same bytes."""
    sizes = {name: (_code(array), array.shape, array.nbytes) for name, array in arrays.items()}
    numbers = (np.ascontiguousarray(array).tobytes() for array in arrays.values())
    return b"".join([_header(sizes, metadata), *numbers])


def _code(array: npt.NDArray[Any]) -> str:
    return NO_FLOATS.get(array.dtype.name) or dtype_named(array.dtype.name).code


def _header(
    sizes: Mapping[str, tuple[str, tuple[int, ...], int]], metadata: Mapping[str, str]
) -> bytes:
    """The header of a file: for each tensor the type, the shape and how many bytes it has."""
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name, (code, shape, size) in sizes.items():
        start, end = end, end + size
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


PREFIX = "transformer."
"""What GPT2LMHeadModel puts before the name of every tensor but an unembedding of its own."""

LLAMA_PREFIX = "model."
"""What LlamaForCausalLM puts there."""


def prefix_of(architecture: Architecture) -> str:
    """What the class of transformers puts before the names of tensors."""
    return LLAMA_PREFIX if architecture.is_rotary else PREFIX


def pending(model: Model, prefix: str = "") -> dict[str, Pending]:
    """The tensors of a model, each fetched when it is written.

    The prefix is that of GPT2Model or LlamaModel; an unembedding of its own is beside it.
    """
    dtype = dtype_named(model.dtype.name)
    return {
        name if name == "lm_head.weight" else f"{prefix}{name}": Pending(
            sizes, dtype, partial(model.tensors.__getitem__, name)
        )
        for name, sizes in model.shape.tensors(model.architecture).items()
    }
