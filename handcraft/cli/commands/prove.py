"""`handcraft prove`: is the model right after every allowed prompt? Decided from its files alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from handcraft.cli.options import DTYPE, POSITIONS, Json, Lines, Named
from handcraft.cli.printing import note, print_json
from handcraft.cli.progress_bar import shown_progress
from handcraft.cli.sources import check_not_compiled, find
from handcraft.errors import CommandError, ProofError
from handcraft.language import Program

EXAMPLES = ("handcraft prove aab", "handcraft prove aab/ --print-program")

EXIT_CODES = {"proved": 0, "unproved": 3, "refuted": 4}

OPTIMIZE_HELP = "Compile with --optimize, as `handcraft compile` does."

PRINT_HELP = "Print in words what is proved: the program as the certificate states it."


def prove(
    program: Named = None,
    lines: Lines = None,
    dtype: Annotated[str | None, DTYPE] = None,
    positions: Annotated[str | None, POSITIONS] = None,
    optimize: Annotated[bool, typer.Option("--optimize", help=OPTIMIZE_HELP)] = False,
    print_program: Annotated[bool, typer.Option("--print-program", help=PRINT_HELP)] = False,
    json_: Json = False,
) -> None:
    """Prove that the model predicts what the program means after every allowed prompt.

    Exits with 0 where it is proved, 3 where it is not, and 4 where a prompt refutes it.
    A folder is read by handcraft_check, which imports nothing of handcraft: the weights, config.json
    and certificate.json. A program is compiled for gpt2 and written to a temporary folder first.
    """
    given = {"dtype": dtype, "positions": positions, "optimize": optimize or None}
    options = {name: value for name, value in given.items() if value is not None}
    if program is not None and not lines and os.path.isdir(program):
        check_not_compiled(program, list(options.values()))
        _prove(Path(program), as_json=json_, print_program=print_program)
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        _write(program, lines or (), folder, options)
        _prove(folder, as_json=json_, print_program=print_program)


def _write(program: str | None, lines: Sequence[str], folder: Path, options: dict[str, Any]) -> None:
    """Compile a program and write it to a folder."""
    from handcraft.compiler import compile_program
    from handcraft.formats import save
    from handcraft.proofs import CERTIFICATE
    from handcraft.proofs.prove_folder import why_not

    found = find(program, lines)
    note(found.note)
    if not isinstance(found.source, Program):
        raise CommandError(
            f"{program} has no rules, and a proof is about rules",
            fix="name a program, or a folder that `handcraft compile` wrote",
        )
    with shown_progress():
        save(compile_program(found.source, **options), folder)
    if not (folder / CERTIFICATE).exists():
        raise ProofError(
            f"there is no certificate: {why_not(found.source)}",
            where=program,
            fix="docs/certificate.md says which programs have one",
        )


def _prove(folder: Path, *, as_json: bool, print_program: bool) -> None:
    """Prove what a folder contains, print the verdict, and exit with its code."""
    from handcraft.proofs.prove_folder import in_words, prove_folder

    with shown_progress():
        verdict = prove_folder(folder)
    stated = in_words(folder) if print_program else None
    if as_json:
        program = {} if stated is None else {"program": stated}
        print_json({**verdict.to_json(), **program})
    else:
        if stated is not None:
            print(stated)
        print(verdict)
    if EXIT_CODES[verdict.word]:
        raise typer.Exit(EXIT_CODES[verdict.word])
