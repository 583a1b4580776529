"""A certificate for a folder that has none, or another one: what somebody says that its model means."""

from __future__ import annotations

from pathlib import Path

from handcraft.errors import ProofError
from handcraft.formats.checkpoint import load
from handcraft.formats.folder import write_text
from handcraft.language import Program
from handcraft.proofs import (
    NotCertified,
    certificate_of,
    certificate_text,
    check_meaning,
    statement_of,
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
