"""Prove a folder: what `handcraft_check` finds, with the errors of this package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from pathlib import Path

from handcraft.errors import ProofError
from handcraft.language import Program
from handcraft.progress import advance
from handcraft.proofs.certificate import CERTIFICATE, FILES, stated_in, statement_of
from handcraft.proofs.proof import Proof
from handcraft.proofs.write_meaning import NotCertified
from handcraft_check.attempts import BUDGETS
from handcraft_check.errors import CheckError
from handcraft_check.many import prove_all
from handcraft_check.program.contexts_in_words import contexts_in_words
from handcraft_check.program.meaning import Meaning
from handcraft_check.prove import prove
from handcraft_check.radius import prove_radius
from handcraft_check.verdict import Verdict

QUICK = 10_000
"""The most cases of a proof that is tried while a folder is written: seconds."""

TRY_LONGER = "in a quick try; `handcraft prove FOLDER` tries longer"

BYTES_UP_TO = 100_000_000
"""The largest file of weights about which a proof is tried while it is written."""


def tried_proof(folder: Path, *, is_quick: bool) -> Proof:
    """The proof of a folder that was just written; where it `is_quick`, only if it takes seconds."""
    size = (folder / FILES[0]).stat().st_size
    if is_quick and size > BYTES_UP_TO:
        return Proof("unproved", why=f"`handcraft prove` tries it: the weights have {size:,} bytes")
    try:
        budget = QUICK if is_quick else BUDGETS[-1]
        found = prove(folder, budget=budget, progress=_advance, is_located=False)
    except CheckError as error:
        return Proof("unproved", why=error.what)
    stated = json.loads((folder / CERTIFICATE).read_text("utf-8"))["arithmetic"]
    tried = Proof(
        found.word,
        found.inputs,
        found.writes,
        f"{found.reason} {TRY_LONGER}" if is_quick and found.ran_out else found.reason,
        weights=stated["weights"],
        steps=stated["steps"],
    )
    if found.word != "proved":
        return tried
    distance = None if found.within is None else found.distance
    margin = found.margin if isfinite(found.margin) else None
    return replace(
        tried,
        margin=margin,
        distance=distance,
        values=found.values is not None,
        everywhere=found.everywhere,
    )


def prove_folder(
    folder: Path,
    regime: str | None = None,
    certificate: Path | None = None,
    executor: Executor | None = None,
    *,
    exact: bool = False,
    context: int | None = None,
) -> Verdict:
    """Whether the model in a folder predicts what its certificate states, in every context.

    Args:
        folder: a directory with a model.safetensors.
        regime: the name of one, in place of that of the certificate.
        certificate: a file, in place of that in the folder.
        executor: of `concurrent.futures` or like it; its workers, which must see the folder, decide
            parts of the proof.
        exact: whether bounds are computed in whole numbers of 2^-512 in place of float64, slowly.
        context: the most tokens of a context, in place of that of the certificate; not more.

    Raises:
        ProofError: there is no certificate, the files are damaged or too large to check, or exact
            bounds are asked for in another regime than float32.
    """
    _check_certified(folder, certificate)
    with _explained():
        return prove(
            folder,
            certificate=certificate,
            regime=regime,
            exact=exact,
            context=context,
            progress=_advance,
            executor=executor,
        )


def prove_folders(
    folders: Sequence[Path],
    regime: str | None = None,
    executor: Executor | None = None,
    results: Path | None = None,
    *,
    context: int | None = None,
) -> Iterator[tuple[Path, Verdict | ProofError]]:
    """Prove several folders, or one, and keep what is known in a file.

    Args:
        folders: Hugging Face directories.
        regime: the name of one, in place of that of the certificates.
        executor: of `concurrent.futures` or like it; its workers must see the folders and the file.
            Several folders are proved by one worker each, a single one by all.
        results: a file of verdicts, from which a run that was ended goes on, in the middle of a proof.
        context: the most tokens of a context, in place of that of each certificate; not more.

    Yields:
        each folder as soon as it is decided, with the verdict or why it cannot be judged.

    Raises:
        ProofError: a worker ended before it was done.
    """
    with _explained():
        options = {"regime": regime, "context": context, "progress": _advance}
        for folder, found in prove_all(folders, executor, results, **options):
            if isinstance(found, CheckError):
                yield folder, ProofError(found.what, where=found.where, fix=found.fix)
            else:
                yield folder, found


def prove_folder_radius(
    folder: Path,
    regime: str | None = None,
    certificate: Path | None = None,
    executor: Executor | None = None,
    *,
    context: int | None = None,
) -> tuple[float, Verdict]:
    """How far all weights may move before the proof of a folder fails, and the verdict there.

    The arguments and errors are those of `prove_folder`, but for `exact`.
    """
    _check_certified(folder, certificate)
    with _explained():
        return prove_radius(
            folder,
            certificate=certificate,
            regime=regime,
            context=context,
            progress=_advance,
            executor=executor,
        )


def _check_certified(folder: Path, certificate: Path | None) -> None:
    if certificate is None and not (folder / CERTIFICATE).exists():
        raise ProofError(
            f"{folder} has no {CERTIFICATE}",
            where=folder,
            fix="say what it means: `handcraft prove DIR --meaning PROGRAM`; or compile it again",
        )


def in_words(folder: Path, certificate: Path | None = None) -> str:
    """What is proved: the contexts and the program, as the certificate of a folder states them.

    Args:
        folder: a directory with a certificate.
        certificate: a file, in place of that in the folder.

    Raises:
        ProofError: the certificate is damaged.
    """
    try:
        stated = stated_in(folder / CERTIFICATE if certificate is None else certificate)
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


def _advance(stage: str) -> None:
    """Report the stage of a proof as progress. The number of cases left is not known."""
    advance(stage, 0, 0)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except CheckError as error:
        raise ProofError(error.what, where=error.where, fix=error.fix) from error
