"""`handcraft dataset`: random programs with their weights, and how well scripts are recovered."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from handcraft.cli.executors import Scheduler, Workers, executor_of
from handcraft.cli.input.options import Json
from handcraft.cli.output.printing import print_json
from handcraft.cli.output.progress_bar import shown_progress
from handcraft.display import count
from handcraft.errors import CommandError

if TYPE_CHECKING:
    from handcraft.dataset import Score

EXAMPLES = (
    "handcraft dataset -o random/ --programs 20",
    "handcraft dataset random/ --score baseline",
)

FOLDER_HELP = "A data set to judge scripts with; with --score."

SCORE_HELP = (
    "Judge scripts: a file of JSON lines with number and text or graph, or baseline for the decompiler "
    "that handcraft has."
)

BASELINE = "baseline"

TARGETS = ("gpt2", "block")


def dataset(
    folder: Annotated[Path | None, typer.Argument(help=FOLDER_HELP, show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The folder to write.", show_default=False)
    ] = None,
    programs: Annotated[int, typer.Option(min=1, help="How many programs.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all choices.")] = 0,
    shard: Annotated[int, typer.Option(min=1, help="How many programs a pair of files has.")] = 1_000,
    architecture: Annotated[str, typer.Option(help="The target: gpt2 or block.")] = "gpt2",
    sample: Annotated[
        int, typer.Option(min=1, help="Random contexts to try where there are too many for all.")
    ] = 2_000,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    scores: Annotated[str | None, typer.Option("--score", help=SCORE_HELP, show_default=False)] = None,
    json_: Json = False,
) -> None:
    """Write random programs with the weights that compute them, or judge recovered scripts.

    Every model is compiled and run before it is written. The same options give the same bytes.
    Recovering a short script from weights alone is an open problem; the data set says how far one got.
    """
    if (folder is None) is not (scores is None) or (folder is None) is (output is None):
        raise CommandError(
            "a data set is either written or judged",
            fix="use -o FOLDER to write one, or FOLDER --score FILE to judge scripts",
        )
    if folder is not None and scores is not None:
        _judge(folder, scores, json_)
        return
    if architecture not in TARGETS:
        raise CommandError(f"there is no target {architecture!r}", fix=f"use {' or '.join(TARGETS)}")
    from handcraft.dataset import Settings, write_dataset
    from handcraft.formats import check_place

    check_place(cast(Path, output))
    settings = Settings(programs, seed, shard, cast(Any, architecture), sample)
    with shown_progress(), executor_of(workers, scheduler) as executor:
        written = write_dataset(cast(Path, output), settings, executor=executor)
    if json_:
        print_json(
            {
                "folder": str(output),
                "files": sorted(path.name for path in written.folder.iterdir()),
                "kinds": written.kinds,
                "refused": written.refused,
                "repeated": written.repeated,
                "parameters": written.parameters,
            }
        )
        return
    print(f"wrote {output}/: {count(programs, 'program')} with {written.parameters:,} parameters")
    print(", ".join(f"{number:,} of {kind}" for kind, number in written.kinds.items()))
    refused = ", ".join(f"{number:,} {why}" for why, number in written.refused.items())
    left_out = f"{written.repeated:,} repeated" + (f", refused: {refused}" if refused else "")
    print(f"left out: {left_out}")


def _judge(folder: Path, scores: str, json_: bool) -> None:
    """Print how well scripts answer."""
    from handcraft.dataset import score

    with shown_progress():
        found = score(folder, None if scores == BASELINE else scores)
    if json_:
        print_json([asdict(each) for each in found])
        return
    for each in found:
        print(_line(each))


def _line(found: Score) -> str:
    length = "" if found.length is None else f", which are {found.length:.2f} times as long"
    return (
        f"{found.kind}: {found.recovered:,} of {found.programs:,} scripts, "
        f"{found.answers:.2%} of the answers right; {found.equal:,} answer as the model{length}"
    )
