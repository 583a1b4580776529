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

import numpy as np

from handcraft.dtype import DType, dtype_named
from handcraft.model import Model
from handcraft.model.attention import Array
from handcraft.progress import advance

ALIGNMENT = 8
"""The header is padded with blanks to a multiple of this, so that numbers are aligned."""


@dataclass(frozen=True)
class Pending:
    """A tensor that is made when its turn comes."""

    shape: tuple[int, ...]
    dtype: DType
    make: Callable[[], Array]


def write_safetensors(path: Path, tensors: Mapping[str, Pending], metadata: Mapping[str, str]) -> None:
    """Write tensors in the order given; the same ones give the same bytes."""
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + prod(tensor.shape) * tensor.dtype.numpy.itemsize
        header[name] = {
            "dtype": tensor.dtype.code,
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for number, tensor in enumerate(tensors.values()):
            advance("write tensors", number, len(tensors))
            file.write(np.ascontiguousarray(tensor.make()).view(np.uint8).data)


def pending(model: Model, prefix: str = "") -> dict[str, Pending]:
    """The tensors of a model, each fetched when it is written.

    The prefix is that of GPT2Model; an unembedding of its own is beside it.
    """
    dtype = dtype_named(model.dtype.name)
    return {
        name if name == "lm_head.weight" else f"{prefix}{name}": Pending(
            sizes, dtype, partial(model.tensors.__getitem__, name)
        )
        for name, sizes in model.shape.tensors(model.architecture).items()
    }
