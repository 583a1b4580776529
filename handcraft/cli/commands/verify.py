"""`handcraft verify`: does the model answer what the program means?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from handcraft.cli.executors import Scheduler, Workers, executor_of
from handcraft.cli.input.expressions import Expressions
from handcraft.cli.input.options import ARCHITECTURE, DTYPE, POSITIONS, TOLERANCE, Json, Lines, Named
from handcraft.cli.input.read_text import read_text
from handcraft.cli.input.sources import Chosen, load_model
from handcraft.cli.output.printing import note, print_json
from handcraft.cli.output.progress_bar import shown_progress
from handcraft.errors import CommandError
from handcraft.verify import Report, ValueReport, meant_by_expressions, verify_values

EXAMPLES = (
    "handcraft verify programs/aab.py",
    "handcraft verify aab/ --prompts prompts.txt",
    "handcraft verify programs/sort.py --workers 2",
)

SAMPLE_HELP = (
    "Size of the sample, if there is one: by default 100,000 contexts, or 10,000 allowed prompts."
)

PROMPTS_HELP = "Check the prompts in this file instead, one per line; - reads standard input."


def verify(
    program: Named = None,
    lines: Lines = None,
    architecture: Annotated[str | None, ARCHITECTURE] = None,
    dtype: Annotated[str | None, DTYPE] = None,
    positions: Annotated[str | None, POSITIONS] = None,
    sample: Annotated[int | None, typer.Option(min=1, help=SAMPLE_HELP, show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    prompts: Annotated[str | None, typer.Option(help=PROMPTS_HELP, show_default=False)] = None,
    tolerance: Annotated[float | None, TOLERANCE] = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    json_: Json = False,
) -> None:
    """Compare the answers of a model with what the program means. Exits with 1 on any failure.

    Tries every context if there are at most 10 million, else a random sample.
    If only some prompts are allowed: every allowed prompt, up to 200,000, else a sample.
    For expressions, values are compared at every position of all texts, up to 10,000, else of a
    sample: with what the expressions mean or, for a folder, with its ideal circuits.
    A folder is read as other tools read it: every key of config.json,
    generation_config.json and the tokenizer files is compared with handcraft.json.
    With --workers, several processes try contexts; the report is the same.
    """
    from handcraft.cli.output.findings import print_report
    from handcraft.formats import verify_folder
    from handcraft.verify import verify as run_verify

    chosen = Chosen(architecture=architecture, dtype=dtype, positions=positions, tolerance=tolerance)
    loaded = load_model(program, lines or (), **chosen)
    if loaded.folder is None:
        note(loaded.note)
    if loaded.source is None:
        raise CommandError(
            f"{program} does not record what its model should answer",
            fix="name a program, or a folder that `handcraft compile` wrote",
        )
    given = None if prompts is None else _read_lines(prompts)
    report: Report | ValueReport
    tried: Any = {"sample": sample, "seed": seed, "given": given}
    with executor_of(workers, scheduler) as executor, shown_progress():
        if loaded.folder is not None:
            report = verify_folder(loaded.folder, **tried, executor=executor)
        elif isinstance(loaded.source, Expressions):
            assert loaded.values is not None
            report = verify_values(
                loaded.values,
                meant_by_expressions(loaded.source.outputs),
                loaded.source.prompts,
                "what the expressions mean",
                **tried,
                executor=executor,
            )
        else:
            report = run_verify(loaded.model, loaded.source, **tried, executor=executor)
    if json_:
        print_json(report.to_json())
    else:
        print_report(report)
    if not report.passed:
        raise typer.Exit(1)


def _read_lines(name: str) -> list[str]:
    """The lines of a file, or of standard input; what else Python ends lines at may be a token."""
    return read_text(name).split("\n")
