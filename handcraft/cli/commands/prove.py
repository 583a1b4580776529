"""`handcraft prove`: is the model right after every allowed prompt? Decided from its files alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from handcraft.circuits import Circuits
from handcraft.cli.executors import Scheduler, Workers, executor_of
from handcraft.cli.input.expressions import Expressions
from handcraft.cli.input.options import ARCHITECTURE, DTYPE, POSITIONS, Json, Lines, SeveralNamed
from handcraft.cli.input.sources import check_not_compiled, check_options, find
from handcraft.cli.output.printing import error_data, fitted, note, print_json
from handcraft.cli.output.progress_bar import shown_progress
from handcraft.errors import CommandError, ProofError
from handcraft.language import Program

EXAMPLES = (
    "handcraft prove aab",
    "handcraft prove aab/ --print-program",
    "handcraft prove aab --regime bfloat16",
    "handcraft prove aab parity --workers 2",
    "handcraft prove aab/ --meaning programs/aab.py",
)

EXIT_CODES = {"proved": 0, "unproved": 3, "refuted": 4}

OPTIMIZE_HELP = "Compile with --optimize, as `handcraft compile` does."

REGIME_HELP = (
    "The arithmetic, in place of the certificate's: float32, bfloat16, float16, tf32, q8_0, q4_0."
)

EXACT_HELP = "Compute all bounds in whole numbers of 2^-512, not in float64: for small programs."

CONTEXT_HELP = "The most tokens of a context, if fewer than the certificate states."

RADIUS_HELP = "Find how far all weights may move at once before the proof fails."

MEANING_HELP = "A program: prove that the model predicts what it means, whatever a certificate says."

PRINT_HELP = "Print in words what is proved: the program as the certificate states it."


RESULTS_HELP = "A file of verdicts; an interrupted run continues from it, even within a proof."


@dataclass(frozen=True)
class Shown:
    """What to prove of a folder, and what to print of it."""

    regime: str | None
    context: int | None
    radius: bool
    exact: bool
    program: bool
    as_json: bool
    results: Path | None


def prove(
    programs: SeveralNamed = None,
    lines: Lines = None,
    architecture: Annotated[str | None, ARCHITECTURE] = None,
    dtype: Annotated[str | None, DTYPE] = None,
    positions: Annotated[str | None, POSITIONS] = None,
    optimize: Annotated[bool, typer.Option("--optimize", help=OPTIMIZE_HELP)] = False,
    meaning: Annotated[str | None, typer.Option("--meaning", help=MEANING_HELP)] = None,
    regime: Annotated[str | None, typer.Option("--regime", help=REGIME_HELP)] = None,
    context: Annotated[int | None, typer.Option("--context", help=CONTEXT_HELP, min=1)] = None,
    radius: Annotated[bool, typer.Option("--radius", help=RADIUS_HELP)] = False,
    exact: Annotated[bool, typer.Option("--exact", help=EXACT_HELP)] = False,
    print_program: Annotated[bool, typer.Option("--print-program", help=PRINT_HELP)] = False,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    results: Annotated[
        Path | None, typer.Option("--results", help=RESULTS_HELP, show_default=False)
    ] = None,
    json_: Json = False,
) -> None:
    """Prove that the model predicts what the program means after every allowed prompt.

    Exits with 0 if it is proved, 3 if it is not, and 4 if a prompt refutes it.
    A folder is read by handcraft_check, which imports nothing of handcraft: the
    weights, config.json and certificate.json. A program is compiled with --provable
    and written to a temporary folder first.
    With --meaning it decides whether any GPT-2 predicts what a program means.
    With --workers, several programs are proved at once, or one proof is divided.
    """
    given = {
        "architecture": architecture,
        "dtype": dtype,
        "positions": positions,
        "optimize": optimize or None,
    }
    options = {name: value for name, value in given.items() if value is not None}
    shown = Shown(regime, context, radius, exact, print_program, json_, results)
    named: Sequence[str | None] = programs or (None,)
    if len(named) > 1 or results is not None:
        _check_plain(shown, meaning)
    if results is not None:
        from handcraft.formats import check_place

        check_place(results)
    if shown.radius and shown.exact:
        raise CommandError("--radius and --exact are both given", fix="leave out one of them")
    from handcraft.formats.stated_meaning import check_architecture, state_meaning

    stated = None if meaning is None else _program(meaning)
    with TemporaryDirectory() as temporary:
        folders = []
        for number, program in enumerate(named):
            if program is not None and not lines and os.path.isdir(program):
                check_not_compiled(program, options)
                folders.append(Path(program))
                check_architecture(folders[-1])
            else:
                folders.append(Path(temporary) / str(number))
                _write(program, lines or (), folders[-1], options, is_stated=stated is not None)
        certificate = None
        if stated is not None:
            certificate = Path(temporary) / "certificate.json"
            try:
                state_meaning(stated, folders[0], certificate)
            except ProofError as error:  # about the program, of which the user wrote its name
                error.where = f"--meaning {meaning}"
                raise
        with executor_of(workers, scheduler) as executor:
            if len(folders) > 1 or results is not None:
                names = [str(program or "the rules") for program in named]
                _prove_several(dict(zip(folders, names, strict=True)), shown, executor)
            else:
                _prove(folders[0], shown, certificate, executor)


def _check_plain(shown: Shown, meaning: str | None) -> None:
    """Raise where something is asked for that only one proof has, without a file of results."""
    given = {
        "--radius": shown.radius,
        "--exact": shown.exact,
        "--print-program": shown.program,
        "--meaning": meaning is not None,
    }
    for option in (name for name, is_given in given.items() if is_given):
        raise CommandError(
            f"{option} needs a single program, and no --results",
            fix=f"prove one with {option}, and the others on their own",
        )


def _prove_several(folders: Mapping[Path, str], shown: Shown, executor: Executor | None) -> None:
    """Prove folders, print each verdict below the name of its folder, and exit with the worst code."""
    from handcraft.proofs.prove_folder import prove_folders

    status = 0
    with shown_progress():
        given = [*folders], shown.regime, executor, shown.results
        for folder, found in prove_folders(*given, context=shown.context):
            code = 2 if isinstance(found, ProofError) else EXIT_CODES[found.word]
            status = code if code == 2 or (status != 2 and code > status) else status
            if isinstance(found, ProofError):
                found.speak_command_line()
            if shown.as_json:
                what = error_data(found) if isinstance(found, ProofError) else found.to_json()
                print(json.dumps({"program": folders[folder], **what}), flush=True)
            else:
                print(fitted(f"{folders[folder]}\n{found}"), flush=True)
    if status:
        raise typer.Exit(status)


def _program(name: str) -> Program:
    """The program that states what a model means."""
    found = find(name)
    note(found.note)
    source = found.means or found.source
    if not isinstance(source, Program):
        raise CommandError(
            f"--meaning {name} has no rules, and a proof is about rules",
            fix="name a program, such as a file with program = Program(...)",
        )
    return source


def _write(
    program: str | None,
    lines: Sequence[str],
    folder: Path,
    options: dict[str, Any],
    *,
    is_stated: bool,
) -> None:
    """Compile a program and write it to a folder."""
    from handcraft.compiler import Compiled, CompiledSequences, compile_program, compile_sequences
    from handcraft.formats import save
    from handcraft.proofs import CERTIFICATE
    from handcraft.proofs.prove_folder import why_not

    found = find(program, lines)
    note(found.note)
    source = found.source
    if isinstance(source, Circuits) and found.means is None and not is_stated:
        raise CommandError(
            f"{program} has no rules, and a proof is about rules",
            fix="say what it means: --meaning PROGRAM, or means = Program(...) beside the circuits",
        )
    compiled: Compiled | CompiledSequences
    with shown_progress():
        if isinstance(source, Expressions):
            of_programs = ("positions", "optimize")
            check_options({name: options[name] for name in of_programs if name in options}, source)
            compiled = compile_sequences(source.outputs, **options)
        else:
            compiled = compile_program(source, provable=True, **options)
        save(compiled, folder, meaning=found.means)
    if isinstance(source, Program) and not is_stated and not (folder / CERTIFICATE).exists():
        raise ProofError(
            f"there is no certificate: {why_not(source)}",
            where=program,
            fix="docs/certificate.md says which programs have one",
        )


def _prove(folder: Path, shown: Shown, certificate: Path | None, executor: Executor | None) -> None:
    """Prove what a folder contains, print the verdict, and exit with its code."""
    from handcraft.proofs.prove_folder import in_words, prove_folder, prove_folder_radius

    radius, given = None, (folder, shown.regime, certificate, executor)
    with shown_progress():
        if shown.radius:
            radius, verdict = prove_folder_radius(*given, context=shown.context)
        else:
            verdict = prove_folder(*given, exact=shown.exact, context=shown.context)
    stated = in_words(folder, certificate) if shown.program else None
    if shown.as_json:
        more = {"program": stated, "radius": radius}
        known = {name: value for name, value in more.items() if value is not None}
        print_json({**verdict.to_json(), **known})
    else:
        if stated is not None:
            print(stated)
        print(fitted(str(verdict)))
        if radius is not None:
            print(f"radius: {radius:g}")
    if EXIT_CODES[verdict.word]:
        raise typer.Exit(EXIT_CODES[verdict.word])
