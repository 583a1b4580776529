"""certificate.json: which contexts are allowed, what the program means there, and for which files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from handcraft.errors import CheckpointError
from handcraft.language import Program, Prompts
from handcraft.model import Model
from handcraft.proofs.write_meaning import NotCertified, Statement, write_meaning
from handcraft_check.meaning import program_hash

CERTIFICATE = "certificate.json"

VERSION = 1

FILES = ("model.safetensors", "config.json")
"""The files that a certificate is about."""

CELLS_UP_TO = 2_000_000
"""The most entries of the automaton of allowed prompts, states times kinds of tokens."""


def certificate_of(program: Program, model: Model, folder: Path) -> Statement:
    """The certificate of a program whose model is written in a folder.

    Raises:
        NotCertified: the program has no meaning that can be written down in a reasonable size.
        CheckpointError: a file of the model cannot be read.
    """
    stated = statement_of(program)
    dtype = model.dtype.name
    return {
        "format": "handcraft-certificate",
        "version": VERSION,
        "files": {name: _sha256(folder / name) for name in FILES},
        "program": program_hash(stated["contexts"], stated["meaning"]),
        "arithmetic": {"weights": dtype, "steps": dtype},
        "vocabulary": list(program.vocabulary.tokens),
        "token_ids": list(model.vocabulary.numbers),
        **stated,
        "hints": {},
    }


def statement_of(program: Program) -> Statement:
    """The part of a certificate that follows from the program alone: its contexts and its meaning.

    Raises:
        NotCertified: it cannot be written down in a reasonable size.
    """
    return {"contexts": _contexts(program.prompts), "meaning": write_meaning(program)}


def _contexts(prompts: Prompts) -> Statement:
    if prompts.inputs is not None and not isinstance(prompts.inputs, str):
        raise NotCertified("Python code decides which prompts are allowed")
    if not prompts.refuses_some:  # every text of one token or more
        kinds: Iterable[int] = [0] * len(prompts.vocabulary)
        following, final = [[1], [1]], [False, True]
    else:
        table = prompts.texts.table
        if table.columns.size > CELLS_UP_TO:
            raise NotCertified(f"the automaton of allowed prompts has {table.columns.size:,} entries")
        kinds, following, final = table.kinds.tolist(), table.columns.tolist(), table.final.tolist()
    return {
        "length": prompts.context,
        "causal": prompts.causal,
        "writes": prompts.writes,
        "kinds": kinds,
        "next": following,
        "final": final,
    }


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}", where=path, fix="compile the model again"
        ) from error
