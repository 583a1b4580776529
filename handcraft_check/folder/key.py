"""What a verdict depends on, as a hash: files, what is asked of them, and the checker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handcraft_check.folder.beside import others
from handcraft_check.folder.files import (
    CERTIFICATE,
    CONFIG,
    GENERATION,
    JSON_UP_TO,
    TENSORS,
    TENSORS_UP_TO,
    TOKENIZER,
    read_bytes,
    sha256,
)

BESIDE = CONFIG, TOKENIZER, GENERATION
"""The files that are read where a folder has them."""


def key_of(folder: Path, options: Mapping[str, Any]) -> str:
    """A hash of all that a verdict depends on: the files, the options of `prove`, and the checker.

    Raises:
        CheckError: a file is missing, or too large.
    """
    stated = options.get("certificate") or folder / CERTIFICATE
    limits = {folder / TENSORS: TENSORS_UP_TO, stated: JSON_UP_TO}
    limits |= {folder / name: JSON_UP_TO for name in BESIDE if (folder / name).exists()}
    hashes = [(path.name, sha256(read_bytes(path, most))) for path, most in limits.items()]
    hashes += [(name, "") for name in others(folder)]
    asked = sorted((name, value) for name, value in options.items() if name != "certificate")
    return sha256(json.dumps([_checker(), hashes, asked]).encode())


def _checker() -> str:
    """A hash of the checker: verdicts of another one do not count."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    return sha256("".join(sha256(path.read_bytes()) for path in files).encode())
