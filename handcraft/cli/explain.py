"""`handcraft explain`: what a weight is for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handcraft.cli.options import Json
from handcraft.cli.output import print_json
from handcraft.cli.sources import load_source
from handcraft.compiler import compile_program
from handcraft.formats import read_checkpoint

EXAMPLES = (
    "handcraft explain programs/aab.py h.0.attn.c_proj.weight 23 43",
    "handcraft explain aab/ h.0.attn.c_attn.bias 92",
)


def explain(
    program: Annotated[str, typer.Argument(help="p")],
    tensor: Annotated[str, typer.Argument(help="The name of a tensor.")],
    index: Annotated[list[int], typer.Argument(help="Row and column, or the place in a bias.")],
    json_: Json = False,
) -> None:
    """Say which rules one weight serves."""
    from handcraft.cli.report import explain_weight

    if Path(program).is_dir():
        checkpoint = read_checkpoint(program)
        found = explain_weight(checkpoint.model, checkpoint.origins, None, tensor, tuple(index))
    else:
        compiled = compile_program(load_source(program))
        origins = {
            name: {i: tuple(map(str, o)) for i, o in placed.origins.items()}
            for name, placed in compiled.placement.tensors.items()
        }
        found = explain_weight(compiled.model, origins, compiled, tensor, tuple(index))
    if json_:
        print_json(found)
    else:
        for name, value in found.items():
            if value is not None:
                shown = ", ".join(value) or "nothing: it is 0" if isinstance(value, list) else value
                print(f"{name}: {shown}")
