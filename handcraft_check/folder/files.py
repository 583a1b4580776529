"""Read a Hugging Face GPT-2 directory: tensors, config and certificate, and nothing that it could run.

The formats are read from scratch, so that a proof rests on no other reader: safetensors is a JSON
header behind its length, and raw little-endian numbers (https://github.com/huggingface/safetensors,
section "Format").
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from handcraft_check.errors import CheckError

Array = npt.NDArray[np.float64]

TENSORS, CONFIG, CERTIFICATE = "model.safetensors", "config.json", "certificate.json"

TOKENIZER = "tokenizer.json"
"""Where a folder has one, its ids must be those of the certificate."""

GENERATION = "generation_config.json"
"""Where a folder has one, it must not change what is generated from the logits."""

FORMATS = (None, "pt", "np", "mlx")
"""What a safetensors file may say of its format. Older versions of transformers convert tensors of "tf"
and "flax"."""

HEADER_UP_TO = 25_000_000
"""The longest header of a safetensors file, in bytes; the format allows 100 MB."""

TENSORS_UP_TO = 4 << 30
"""The largest tensor file, in bytes."""

JSON_UP_TO = 128 << 20
"""The largest config or certificate, in bytes; lists of empty lists take 27 times as much memory."""

AXES_UP_TO = 8
"""The most axes of a tensor; no weight has more than two."""

SIZES = {"F32": 4, "F16": 2, "BF16": 2}
"""The bytes of one number, by the name of its dtype in the file. Float64 would be rounded in use."""

NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""What config.json calls a dtype."""


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a regular file.

    Raises:
        CheckError: there is no such file, it is not a regular file, or it is larger than `most` bytes.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise CheckError(f"it has {size:,} bytes; the limit is {most:,}", where=str(path))
        content = file.read(size + 1)  # as much as is asked for is set aside
    if len(content) > size:
        raise CheckError(f"it grew beyond {size:,} bytes", where=str(path))
    return content


def _opened(path: Path) -> BinaryIO:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise CheckError(f"cannot read it: {error.strerror}", where=str(path)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CheckError("it is not a regular file", where=str(path))
    return os.fdopen(descriptor, "rb")


def tensor_names(path: Path) -> list[str]:
    """The names of all tensors of a safetensors file, of which only the header is read.

    Raises:
        CheckError: it is no such file.
    """
    with _opened(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > HEADER_UP_TO:
            raise CheckError(f"its header claims {length:,} bytes", where=str(path))
        header = read_json(file.read(length), str(path))
    if not isinstance(header, dict):
        raise CheckError("its header is not an object", where=str(path))
    return sorted(header.keys() - {"__metadata__"})


def sha256(content: bytes) -> str:
    """The SHA-256 hash of bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_json(content: bytes, where: str) -> Any:
    """A JSON document in which no key of an object occurs twice, and no number is infinite or NaN.

    Raises:
        CheckError: it is none.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
            raise CheckError(f"the key {twice!r} occurs twice", where=where)
        return found

    def refused(name: str) -> Any:
        raise CheckError(f"{name} is not a number in JSON", where=where)

    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=unique, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise CheckError(f"it is no JSON document: {error}", where=where) from None


def read_tensors(content: bytes, where: str) -> tuple[Mapping[str, Array], frozenset[str]]:
    """The tensors of a safetensors file, and in which dtypes they are stored.

    They are float64 then, which represents every number in it exactly.

    Raises:
        CheckError: the file is malformed, its tensors overlap or leave gaps, or a number is not finite.
    """
    if len(content) < 8:
        raise CheckError("it is too short for a safetensors file", where=where)
    length = int.from_bytes(content[:8], "little")
    if length > min(HEADER_UP_TO, len(content) - 8):
        raise CheckError(f"its header claims {length:,} bytes", where=where)
    header = read_json(content[8 : 8 + length], where)
    if not isinstance(header, dict):
        raise CheckError("its header is not an object", where=where)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or metadata.get("format") not in FORMATS:
        raise CheckError("its metadata names another format than that of PyTorch", where=where)
    data = memoryview(content)[8 + length :]
    found: dict[str, Array] = {}
    runs: list[tuple[int, int]] = []
    for name, entry in header.items():
        found[name], run = _tensor(name, entry, data, where)
        runs.append(run)
    end = 0
    for start, stop in sorted(runs):
        if start != end:
            raise CheckError("its tensors overlap or leave gaps", where=where)
        end = stop
    if end != len(data):
        raise CheckError(f"{len(data) - end:,} bytes behind its last tensor", where=where)
    return found, frozenset(NAMES[entry["dtype"]] for entry in header.values())


def _tensor(name: str, entry: Any, data: memoryview, where: str) -> tuple[Array, tuple[int, int]]:
    try:
        dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = [*shape, start, stop]
        if not all(type(number) is int and number >= 0 for number in whole):
            raise TypeError
        size = SIZES[dtype]
    except (KeyError, TypeError, ValueError):
        raise CheckError(f"the entry of {name!r} is malformed", where=where) from None
    if len(shape) > AXES_UP_TO or max(shape, default=0) > len(data):
        raise CheckError(f"{name!r} has a shape that no weight has", where=where)
    if not start <= stop <= len(data) or stop - start != size * math.prod(shape):
        raise CheckError(f"the bytes of {name!r} do not fit its shape", where=where)
    raw = data[start:stop]
    if dtype == "BF16":
        wide = np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16
        numbers = wide.view(np.float32)
    else:
        numbers = np.frombuffer(raw, dtype={"F32": "<f4", "F16": "<f2"}[dtype])
    found = numbers.astype(np.float64).reshape(shape)
    if not np.isfinite(found).all():
        raise CheckError(f"{name!r} has numbers that are not finite", where=where)
    return found, (start, stop)
