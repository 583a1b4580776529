"""`handcraft page`: a page that runs a model in the browser and explains its numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from handcraft.cli.example_prompt import example_prompt
from handcraft.cli.options import ARCHITECTURE, DTYPE, Json, Lines, Named
from handcraft.cli.printing import note, print_json
from handcraft.cli.sources import Chosen, Found, check_not_compiled, compile_found, find
from handcraft.compiler import Compiled
from handcraft.errors import CommandError
from handcraft.formats import is_checkpoint, load, save
from handcraft.formats.manifest.read_manifest import parse_manifest
from handcraft.page import Subject, of_checkpoint, of_compiled, of_model, write_page
from handcraft.page.subject import check_predicts
from handcraft.proofs import Proof

EXAMPLES = (
    "handcraft page programs/aab.py -o aab.html",
    "handcraft page induction -o induction.html --prompt abcab",
    "handcraft page aab/ -o aab.html",
)

SUFFIXES = (".html", ".htm")


def page(
    output: Annotated[Path, typer.Option("-o", "--output", help="The .html file to write.")],
    program: Named = None,
    lines: Lines = None,
    prompt: Annotated[
        str | None, typer.Option(help="The prompt to begin with.", show_default=False)
    ] = None,
    architecture: Annotated[str | None, ARCHITECTURE] = None,
    dtype: Annotated[str | None, DTYPE] = None,
    json_: Json = False,
) -> None:
    """Write a page that runs the model in the browser and explains every number.

    It is one file that needs no server and no network: type a prompt, see which rules fired and
    where each number comes from, and edit a weight to see what breaks.
    Of a folder without handcraft.json it shows what the weights alone say.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise CommandError(
            f"{output} is no .html file", where=output, fix=f"-o {output.with_suffix('.html')}"
        )
    subject = _subject(program, lines or (), architecture=architecture, dtype=dtype)
    if prompt is not None:
        subject = subject.with_example(prompt)
    size = len(write_page(subject, output).encode())
    if json_:
        print_json({"file": str(output), "bytes": size})
    else:
        print(f"wrote {output} ({size:,} bytes)")


def _subject(name: str | None, lines: list[str] | tuple[str, ...], **chosen: Any) -> Subject:
    given = [value for value in chosen.values() if value is not None]
    if name is not None and not lines and Path(name).is_dir():
        check_not_compiled(name, given)
        if not is_checkpoint(Path(name)):
            note(f"{name} has no handcraft.json: the page shows what the weights alone say")
            return of_model(load(name), Path(name).resolve().name)
    found = find(name, lines)
    note(found.note)
    example = None if name is None else example_prompt(name)
    return _of_found(found, name, Chosen(**chosen)).with_example(example)  # type: ignore[typeddict-item]


def _of_found(found: Found, name: str | None, chosen: Chosen) -> Subject:
    """What a page says of a folder, or of a program once it is compiled and proved."""
    if found.folder is not None:
        check_predicts(found.folder.values, found.folder.folder)
        return of_checkpoint(found.folder)
    compiled = compile_found(found.source, **chosen)
    if not isinstance(compiled, Compiled):
        check_predicts(compiled, name)
        raise AssertionError
    subject = of_compiled(compiled, proof=_proof(compiled))
    return subject if name is not None else replace(subject, title="rules")


def _proof(compiled: Compiled) -> Proof | None:
    """The proof that `handcraft compile` would write down; saving also checks the answers."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        save(compiled, folder, proof="quick")
        proof = parse_manifest(folder).get("proof")
        return None if proof is None else Proof(**proof)
