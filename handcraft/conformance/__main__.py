"""`python -m handcraft.conformance`: run a pack of known answers on an engine."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from handcraft.conformance.engines.named import ENGINES
from handcraft.conformance.pack.read_pack import read_pack
from handcraft.conformance.run.expected import Expected, read_expected
from handcraft.conformance.run.fewest import fewest_cases
from handcraft.conformance.run.prove_pack import print_proofs, prove_pack
from handcraft.conformance.run.run_pack import run_pack
from handcraft.conformance.run.write_reports import as_json, as_junit, print_table
from handcraft.errors import ConformanceError, HandcraftError
from handcraft.formats.folder import write_file

ENGINE_HELP = f"{', '.join(ENGINES)}; MODULE:CLASS; or the http:// address of a server."


def main(
    pack: Annotated[
        Path | None,
        typer.Argument(help="A pack; by default one is written for this run.", show_default=False),
    ] = None,
    *,
    engine: Annotated[str | None, typer.Option(help=ENGINE_HELP, show_default=False)] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long one case may take.")] = 60.0,
    skip: Annotated[
        Path | None,
        typer.Option(help="A file of cases to leave out: pattern and reason.", show_default=False),
    ] = None,
    xfail: Annotated[
        Path | None,
        typer.Option(help="A file of cases that are expected to fail.", show_default=False),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Where to write JUnit XML.", show_default=False)
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Where to write JSON.", show_default=False)] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Run only as few cases as tell all known faults apart.")
    ] = False,
    prove: Annotated[
        bool, typer.Option("--prove", help="Run no engine: prove the stated margins of the pack again.")
    ] = False,
) -> None:
    """Run a pack of known answers on an engine, and say what is broken.

    Exit codes: 0 nothing is broken; 1 something is; 2 the input is wrong.
    """
    with tempfile.TemporaryDirectory() as written:
        if pack is None:
            from handcraft.conformance.pack.write_pack import write_pack

            pack = write_pack(Path(written) / "pack", is_proved=prove)
        read = read_pack(pack)
        if quick:
            read = replace(read, cases=fewest_cases(read))
        if prove:
            raise typer.Exit(print_proofs(prove_pack(read, dtype), dtype, Console()))
        if engine is None:
            raise ConformanceError(
                "no engine is named",
                fix=f"use --engine with one of {', '.join(ENGINES)}; MODULE:CLASS; or http://...",
            )

        for report in filter(None, (junit, json)):  # before the run, which takes minutes
            write_file(report, b"")

        def lines(path: Path | None) -> tuple[Expected, ...]:
            return () if path is None else read_expected(path, read.cases)

        run = run_pack(read, engine, dtype=dtype, seconds=seconds, skip=lines(skip), xfail=lines(xfail))
    for place, text in ((junit, as_junit), (json, as_json)):
        if place is not None:
            write_file(place, text(run).encode())
    print_table(run, Console())
    raise typer.Exit(0 if run.passed else 1)


def run_command_line() -> None:
    """Run the command; an error of the input is printed, and the exit code is 2."""
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(main)
    try:
        command(prog_name="python -m handcraft.conformance")
    except HandcraftError as error:
        error.speak_command_line()
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    run_command_line()
