"""A certificate for a folder that has none, or another one: what somebody says that its model means."""

from __future__ import annotations

import json
from pathlib import Path

from handcraft.errors import ProofError
from handcraft.formats.checkpoint import load
from handcraft.formats.folder import MANIFEST, write_text
from handcraft.formats.huggingface.config_json import CONFIG
from handcraft.language import Program
from handcraft.proofs import (
    CERTIFICATE,
    NotCertified,
    architecture_of,
    certificate_of,
    certificate_text,
    check_meaning,
    statement_of,
)


def check_architecture(folder: Path) -> None:
    """Raise where the certificate of a folder is about another model than handcraft.json describes.

    Without config.json the certificate itself states what the tensors are computed with.

    Raises:
        CheckpointError: the folder cannot be read.
        ProofError: it states something else.
    """
    if (folder / CONFIG).exists() or not all((folder / n).exists() for n in (MANIFEST, CERTIFICATE)):
        return
    model = load(folder)
    known = {**architecture_of(model), "causal": model.architecture.causal}
    try:
        given = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))
        stated = {**given["architecture"], "causal": given["contexts"]["causal"]}
    except (OSError, ValueError, KeyError, TypeError):
        return  # the checker says what is wrong with it
    wrong = [name for name in known if stated.get(name) != known[name]]
    if wrong:
        name = wrong[0]
        raise ProofError(
            f"the certificate states {name}={stated.get(name)!r}, and {MANIFEST} {known[name]!r}",
            where=folder / CERTIFICATE,
            fix="compile it again; `python -m handcraft_check` proves what is stated",
        )


def state_meaning(program: Program, folder: Path, certificate: Path) -> None:
    """Write the certificate that the model in a folder predicts what a program means.

    The model may have been laid out by hand, trained, or compiled from other rules; it may know more
    tokens than the program, and the claim is about texts of those of the program. Where the program
    predicts a token, it must be above all tokens that the model knows.

    Args:
        program: what the model is to mean.
        folder: one that handcraft wrote, or any GPT-2 as Hugging Face saves it.
        certificate: the file to write.

    Raises:
        CheckpointError: the folder cannot be read.
        ProofError: the program cannot be what the model means, or cannot be stated.
    """
    model = load(folder)
    check_meaning(program, model)
    try:
        stated = statement_of(program)
    except NotCertified as error:
        raise ProofError(str(error), where=program.place, fix="state it with simpler rules") from error
    write_text(certificate, certificate_text(certificate_of(stated, model, folder)))
