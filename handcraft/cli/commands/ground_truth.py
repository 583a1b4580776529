"""`handcraft ground-truth`: what is true of a model, in the files that tools are judged with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handcraft.cli.input.options import ARCHITECTURE, DTYPE, Json, Lines, Named
from handcraft.cli.input.read_text import STDIN
from handcraft.cli.input.sources import check_not_compiled, compile_found, find
from handcraft.cli.output.printing import note, print_json
from handcraft.cli.output.progress_bar import shown_progress

EXAMPLES = (
    "handcraft ground-truth induction -o truth/",
    "handcraft ground-truth aab/ -o truth/ --what values",
)

WHAT_HELP = "The parts to write, with commas between them; by default all that the model has."

TRIED_HELP = "About how many prompts are tried where not all can be."


def ground_truth(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    program: Named = None,
    lines: Lines = None,
    what: Annotated[
        str | None, typer.Option("--what", metavar="PART,...", help=WHAT_HELP, show_default=False)
    ] = None,
    examples: Annotated[int, typer.Option("--examples", min=1, help=TRIED_HELP)] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")] = 0,
    architecture: Annotated[str | None, ARCHITECTURE] = None,
    dtype: Annotated[str | None, DTYPE] = None,
    json_: Json = False,
) -> None:
    """Write what is true of a model, so that interpretability tools can be judged with it.

    Everything is derived from what the weights are for, and checked by running the
    model. The parts are values (where every value is stored), circuit (the true
    edges, and the pairs of prompts that show it, as EAP-IG and MIB read them),
    causal (variables and exact featurizers), features (for sparse autoencoders,
    as SAELens reads them), components (the weights of each rule and value) and freeze
    (which numbers training must not change).
    A program is compiled first, and the model is written beside them.
    """
    from handcraft.formats import check_place
    from handcraft.ground_truth import Wanted, of_checkpoint, of_compiled, write_ground_truth
    from handcraft.ground_truth.parts import chosen_parts
    from handcraft.ground_truth.write_folder import check_ground_truth_target

    names = None if what is None else [name.strip() for name in what.split(",") if name.strip()]
    chosen_parts(names)
    check_place(output)
    check_ground_truth_target(output)
    found = find(program, lines or ())
    note(found.note)
    with shown_progress():
        if found.folder is not None:
            chosen = {"architecture": architecture, "dtype": dtype}
            check_not_compiled(found.folder.folder, chosen)
            subject = of_checkpoint(found.folder)
        else:
            compiled = compile_found(found.source, architecture=architecture, dtype=dtype)
            name = "rules" if program in (None, STDIN) else Path(str(program)).stem
            subject = of_compiled(compiled, name)
        written = write_ground_truth(subject, output, what=names, wanted=Wanted(examples, seed))
    if json_:
        print_json(
            {
                "folder": str(output),
                "files": list(written.files),
                "says": list(written.lines),
                "left_out": dict(written.left_out),
            }
        )
        return
    print(f"wrote {output}/: {', '.join(written.files)}")
    for line in written.lines:
        print(line)
    for part, why in written.left_out:
        note(f"no {part}: {why}")
