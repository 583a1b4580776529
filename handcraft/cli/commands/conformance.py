"""`handcraft conformance`: models with known answers, to try inference engines with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handcraft.cli.input.options import Json
from handcraft.cli.output.printing import print_json
from handcraft.cli.output.progress_bar import shown_progress
from handcraft.display import count

EXAMPLES = (
    "handcraft conformance -o pack/",
    "python -m handcraft.conformance pack/ --engine transformers",
)


def conformance(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder to write.", show_default=False)
    ],
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="A format of the models: huggingface, gguf or onnx; may be repeated. By default all.",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Write models with known answers, to try inference engines with.

    A wrong answer of a model names what is wrong with the engine. The cases are data; python -m
    handcraft.conformance runs them. The same bytes are written every time.
    """
    from handcraft.conformance.pack.read_pack import read_pack
    from handcraft.conformance.pack.write_pack import FORMATS, write_pack
    from handcraft.formats import check_place

    check_place(output)
    with shown_progress():
        write_pack(output, tuple(format or FORMATS))
    pack = read_pack(output)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    if json_:
        facts = {"models": len(pack.models), "cases": len(pack.cases), "faults": len(pack.faults)}
        print_json({"folder": str(output), "hash": pack.hash, "bytes": size, **facts})
        return
    print(
        f"wrote {output}/: {count(len(pack.models), 'model')}, {count(len(pack.cases), 'case')}, "
        f"{count(len(pack.faults), 'fault')} that wrong answers name, {size / 1e6:.1f} MB"
    )
    print(f"hash: {pack.hash}")
