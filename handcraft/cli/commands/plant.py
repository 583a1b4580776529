"""`handcraft plant`: a model that is wrong after exactly one prompt, to test verifiers with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from handcraft.cli.input.options import Json, Lines, Named
from handcraft.cli.input.sources import find
from handcraft.cli.output.printing import note, print_json
from handcraft.cli.output.progress_bar import shown_progress
from handcraft.errors import CommandError
from handcraft.language import Program

EXAMPLES = (
    "handcraft plant aab --wrong-on aaba -o planted/",
    "handcraft plant parity --wrong-on 01101001= --wrong-in bfloat16 -o in_bfloat16/",
)

PREDICT_HELP = "The wrong token. By default the first token of the vocabulary that is wrong."

DTYPES = ("bfloat16", "float16")

IN_HELP = (
    "Be right in float32 after this prompt too, and wrong where the weights are rounded: "
    f"{' or '.join(DTYPES)}."
)


def plant(
    program: Named = None,
    lines: Lines = None,
    wrong_on: Annotated[
        str, typer.Option("--wrong-on", help="The allowed prompt after which to be wrong.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The folder to write.", show_default=False)
    ] = None,
    predict: Annotated[str | None, typer.Option(help=PREDICT_HELP, show_default=False)] = None,
    wrong_in: Annotated[
        str | None, typer.Option("--wrong-in", help=IN_HELP, show_default=False)
    ] = None,
    json_: Json = False,
) -> None:
    """Compile a program to a GPT-2 that is wrong after exactly one prompt, to test verifiers with.

    The folder contains what transformers reads, and the certificate of the program as it is: no
    verifier may pass it. It does not contain the prompt after which the model is wrong.
    """
    from handcraft.formats import check_place, check_target
    from handcraft.formats.save_planted import save_planted
    from handcraft.proofs.plant import OnlyIn
    from handcraft.proofs.plant import plant as planted_in

    if output is None or not wrong_on:
        missing = "folder to write" if output is None else "prompt after which to be wrong"
        raise CommandError(
            f"there is no {missing}",
            fix=f"name one with {'-o' if output is None else '--wrong-on'}",
        )
    if wrong_in is not None and wrong_in not in DTYPES:
        raise CommandError(
            f"float32 weights are rounded to {wrong_in!r}", fix=f"use --wrong-in {' or '.join(DTYPES)}"
        )
    check_place(output)
    check_target(output)
    found = find(program, lines or (), shipped_first=True)
    note(found.note)
    if not isinstance(found.source, Program):
        raise CommandError(
            f"{program} has no rules, and what is planted is a rule",
            fix="name a program of rules, not a folder or circuits",
        )
    only_in = cast(OnlyIn | None, wrong_in)
    with shown_progress():
        planted = planted_in(found.source, wrong_on, predicts=predict, only_in=only_in)
        save_planted(planted, output)
    if json_:
        print_json(
            {
                "folder": str(output),
                "files": sorted(path.name for path in output.iterdir()),
                "prompt": planted.prompt,
                "right": planted.right,
                "wrong": planted.wrong,
                "only_in": planted.only_in,
                "tried": planted.tried,
                "is_all": planted.is_all,
            }
        )
        return
    print(f"wrote {output}/: {', '.join(sorted(path.name for path in output.iterdir()))}")
    print(planted)
