"""The arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from handcraft.cli.input.completion import known_programs
from handcraft.dtype import DTYPE_NAMES

Json = Annotated[bool, typer.Option("--json", help="Report as JSON, including errors.")]

_NAMED = typer.Argument(
    help="A .py or .rules file, a shipped program, a compiled folder, or - for rules on "
    "standard input. Omit it with -e.",
    show_default=False,
    autocompletion=known_programs,
)
Named = Annotated[str | None, _NAMED]
SeveralNamed = Annotated[list[str] | None, _NAMED]

Lines = Annotated[
    list[str] | None,
    typer.Option(
        "-e", "--line", help="A line of rules, instead of a program; may be repeated.", metavar="RULE"
    ),
]

POSITIONS = typer.Option(help="How positions are encoded: auto, one-hot, binary or sinusoidal.")
Positions = Annotated[str, POSITIONS]
ARCHITECTURE = typer.Option(help="The target architecture: gpt2, block or llama.")
DTYPE = typer.Option(help=f"The type of the weights: {', '.join(DTYPE_NAMES)}.")
TOLERANCE = typer.Option(
    min=0,
    help="For expressions: the largest error allowed in a number. By default every value is exact.",
    show_default=False,
)
