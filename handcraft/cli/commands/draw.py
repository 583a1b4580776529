"""`handcraft draw`: the data flow of a program as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handcraft.circuits import Circuits
from handcraft.cli.options import ARCHITECTURE, POSITIONS, Json, Lines, Named
from handcraft.cli.printing import note, print_json
from handcraft.cli.sources import Found, check_not_compiled, compile_found, find
from handcraft.formats import write_file

EXAMPLES = ("handcraft draw programs/aab.py -o aab.svg", "handcraft draw by_hand -o by_hand.png")


def draw(
    output: Annotated[Path, typer.Option("-o", "--output", help="A .svg, .png or .dot file.")],
    program: Named = None,
    lines: Lines = None,
    architecture: Annotated[str | None, ARCHITECTURE] = None,
    positions: Annotated[str | None, POSITIONS] = None,
    json_: Json = False,
) -> None:
    """Draw the data flow of a program."""
    from handcraft.draw import circuits_graph, format_of, render

    format = format_of(output)
    found = find(program, lines or ())
    note(found.note)
    circuits = _circuits(found, architecture, positions)
    picture = render(circuits_graph(circuits).source, format)
    write_file(output, picture)
    if json_:
        print_json({"file": str(output), "format": format, "bytes": len(picture)})
    else:
        print(f"wrote {output} ({len(picture):,} bytes)")


def _circuits(found: Found, architecture: str | None, positions: str | None) -> Circuits:
    """The circuits of a program, or those stored in a folder."""
    if found.folder is not None:
        given = [value for value in (architecture, positions) if value is not None]
        check_not_compiled(found.folder.folder, given)
        if isinstance(found.source, Circuits):
            return found.source
        architecture = found.folder.model.architecture.name
    return compile_found(found.source, architecture=architecture, positions=positions).circuits
