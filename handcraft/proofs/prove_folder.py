"""Prove a folder: what `handcraft_check` finds, with the errors of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handcraft.errors import ProofError
from handcraft.language import Program
from handcraft.proofs.certificate import CERTIFICATE, stated_in, statement_of
from handcraft.proofs.proof import Proof
from handcraft.proofs.write_meaning import NotCertified
from handcraft_check.contexts_in_words import contexts_in_words
from handcraft_check.errors import CheckError
from handcraft_check.meaning import Meaning
from handcraft_check.prove import Verdict, prove, size

CONTEXTS_UP_TO = 100_000
"""A folder with no more contexts is proved when it is written: in seconds."""


def tried_proof(folder: Path, *, is_required: bool) -> Proof:
    """The proof of a folder that was just written: tried where it is quick, or if `is_required`."""
    if not (folder / CERTIFICATE).exists():
        return Proof("sampled", why="there is no certificate")
    try:
        contexts = size(folder)
        if contexts > CONTEXTS_UP_TO and not is_required:
            return Proof("sampled", contexts, f"{contexts:,} contexts, which `handcraft prove` tries")
        found = prove(folder)
    except CheckError as error:
        return Proof("sampled", why=error.what)
    if found.word == "proved":
        return Proof("proved", found.contexts, margin=float(found.margin))
    return Proof(found.word, contexts, str(found.reason))


def prove_folder(folder: Path) -> Verdict:
    """Whether the model in a folder predicts what its certificate states, in every context.

    Raises:
        ProofError: there is no certificate, or the files are damaged or too large to check.
    """
    if not (folder / CERTIFICATE).exists():
        raise ProofError(
            f"{folder} has no {CERTIFICATE}",
            where=folder,
            fix="docs/certificate.md says which programs have one; compile them in this version",
        )
    with _explained():
        return prove(folder)


def in_words(folder: Path) -> str:
    """What is proved: the contexts and the program, as the certificate of a folder states them.

    Raises:
        ProofError: the certificate is damaged.
    """
    try:
        stated = stated_in(folder)
        with _explained():
            contexts = contexts_in_words(stated["contexts"], stated["vocabulary"])
            return f"{contexts}\n{Meaning.read(stated['meaning'], stated['vocabulary'])}"
    except NotCertified as error:
        raise ProofError(str(error), where=folder) from error


def why_not(program: Program) -> str:
    """Why a program has no certificate."""
    try:
        statement_of(program)
    except NotCertified as error:
        return str(error)
    return "it is written for gpt2 with its mask only"


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except CheckError as error:
        raise ProofError(error.what, where=error.where, fix=error.fix) from error
