"""`handcraft page`: a page that runs a model in the browser and explains its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Unpack

import typer

from handcraft.cli.input.example_prompt import example_prompt
from handcraft.cli.input.options import ARCHITECTURE, DTYPE, Json, Lines, Named
from handcraft.cli.input.read_text import STDIN
from handcraft.cli.input.sources import Chosen, check_not_compiled, compile_found, find
from handcraft.cli.output.printing import note, print_json
from handcraft.compiler import Compiled, CompiledSequences
from handcraft.errors import CommandError
from handcraft.formats import check_place, is_checkpoint, save, subject_of
from handcraft.formats.manifest.read_manifest import parse_manifest
from handcraft.language import Program
from handcraft.page import SUFFIXES, Contents, of_checkpoint, of_compiled, of_foreign, write_page
from handcraft.proofs import CERTIFICATE, Proof
from handcraft.proofs.prove_folder import tried_proof

EXAMPLES = (
    "handcraft page programs/aab.py -o aab.html",
    "handcraft page induction -o induction.html --prompt abcab",
    "handcraft page aab/ -o aab.html",
)


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

    The page is one file that needs no server and no network: type a prompt, see
    which rules fire and where each number comes from, and edit a weight to see
    what breaks.
    For a folder without handcraft.json it shows what the weights alone say, and
    what its certificate states.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise CommandError(
            f"{output} is not an .html file", where=output, fix=f"-o {output.with_suffix('.html')}"
        )
    check_place(output)
    contents = _contents(program, lines or (), architecture=architecture, dtype=dtype)
    if prompt is not None:
        contents = contents.with_example(prompt)
    size = len(write_page(contents, output).encode())
    if json_:
        print_json({"file": str(output), "bytes": size})
    else:
        print(f"wrote {output} ({size:,} bytes)")


def _contents(name: str | None, lines: Sequence[str], **chosen: Unpack[Chosen]) -> Contents:
    """What a page shows of a folder, or of a program, which is compiled first."""
    if name is not None and not lines and Path(name).is_dir() and not is_checkpoint(Path(name)):
        check_not_compiled(name, chosen)
        known = subject_of(name)
        stated = "" if known.meaning is None else ", and what its certificate states"
        note(f"{name} has no handcraft.json: the page shows what the weights alone say{stated}")
        proof, why = _proof_of_folder(Path(name))
        return of_foreign(known, Path(name), proof=proof, why_no_proof=why)
    found = find(name, lines)
    note(found.note)
    if found.folder is not None:
        check_not_compiled(found.folder.folder, chosen)
        contents = of_checkpoint(found.folder)
    else:
        compiled = compile_found(found.source, **chosen)
        proof = _proof(compiled, found.means)
        contents = of_compiled(compiled, _title(name), proof=proof, means=found.means)
    return contents if name in (None, STDIN) else contents.with_example(example_prompt(name))


def _title(name: str | None) -> str:
    return "rules" if name in (None, STDIN) else Path(name).stem


def _proof(compiled: Compiled | CompiledSequences, means: Program | None) -> Proof | None:
    """The proof that `handcraft compile` would write down; saving also checks the answers.

    Args:
        compiled: what to prove.
        means: what circuits that were laid out by hand are meant to predict.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        save(compiled, folder, proof="quick", meaning=means)
        proof = parse_manifest(folder).get("proof")
        return None if proof is None else Proof(**proof)


def _proof_of_folder(folder: Path) -> tuple[Proof | None, str]:
    """What the certificate of a folder without handcraft.json proves; else None, and why not."""
    if not all((folder / name).is_file() for name in (CERTIFICATE, "model.safetensors")):
        return None, f"no proof was tried: the folder has no {CERTIFICATE} beside a model.safetensors"
    tried = tried_proof(folder, is_quick=True)
    return (tried, "") if tried.verdict == "proved" else (None, f"{tried.verdict}: {tried.why}")
