"""`handcraft draw`: a program, its circuit, its weights or one run as a picture."""

from __future__ import annotations

import os
import shlex
import tempfile
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from handcraft.cli.input.example_prompt import example_prompt
from handcraft.cli.input.options import ARCHITECTURE, POSITIONS, Json, Lines, Named
from handcraft.cli.input.sources import check_not_compiled, find, subject_found
from handcraft.cli.output.printing import note, print_json
from handcraft.draw import (
    DETAILS,
    OF_A_RUN,
    WHATS,
    Detail,
    What,
    chosen_kind,
    draw_picture,
    format_of,
)
from handcraft.errors import CommandError
from handcraft.formats import check_place, subject_of, write_file
from handcraft.language import Program
from handcraft.subject import Subject
from handcraft.weights import named_rule, served_by

EXAMPLES = (
    "handcraft draw programs/aab.py -o aab.svg",
    "handcraft draw by_hand -o by_hand.png",
    "handcraft draw induction --what run --prompt abcab --open",
    "handcraft draw aab/ --what weights --rule 1 -o weights.svg",
    'handcraft draw -e "predict b after aa" --what circuit --detail weights --open',
)


def draw(
    program: Named = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .svg or .png file, or .dot for a circuit."),
    ] = None,
    lines: Lines = None,
    what: Annotated[
        str | None,
        typer.Option(
            help=f"What to draw: {', '.join(WHATS)}. "
            "By default the program, or the circuit where that is all that is known."
        ),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help=f"The prompt to draw, for {', '.join(OF_A_RUN)}.")
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(help="Only what serves one rule: its number, its text, or a part of it."),
    ] = None,
    tensor: Annotated[
        str | None, typer.Option(help="Of weights, only this tensor, as in h.0.mlp.c_fc.weight.")
    ] = None,
    detail: Annotated[
        str | None,
        typer.Option(
            help=f"Of a circuit, from coarse to fine: {', '.join(DETAILS)}. Of a program, weights "
            "draws by itself what one line made in a loop."
        ),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Show the picture in the browser; -o is then optional.")
    ] = False,
    architecture: Annotated[str | None, ARCHITECTURE] = None,
    positions: Annotated[str | None, POSITIONS] = None,
    json_: Json = False,
) -> None:
    """Draw a program, its circuit, its weights, or one run of it."""
    file = _file(output, open_)
    format = format_of(file)
    check_place(file)
    asked = chosen_kind(what, prompt=prompt, rule=rule, tensor=tensor, detail=detail) or _circuit_of(
        file, architecture, positions
    )
    subject, note_ = _subject(program, lines or [], asked, architecture, positions)
    note(note_)
    kind = asked or _best(subject)
    if kind in OF_A_RUN and prompt is None:
        prompt = None if program is None else example_prompt(program)
        note(None if prompt is None else f"the prompt is {prompt!r}; --prompt gives another")
        if prompt is None:
            raise CommandError(f"a picture of {kind} needs a prompt", fix=_prompt(subject))
    picture = draw_picture(
        subject,
        kind,
        prompt=prompt,
        rule=None if rule is None else _rule(rule, subject),
        tensor=tensor,
        detail=cast("Detail", detail or "circuit"),
    )
    data = picture.contents(file)
    write_file(file, data)
    if json_:
        print_json({"file": str(file), "what": kind, "format": format, "bytes": len(data)})
    else:
        print(f"wrote {file}")
    if open_ and not webbrowser.open(file.resolve().as_uri()):
        note(f"no browser was found; open {file} yourself")


def _file(output: Path | None, open_: bool) -> Path:
    """The file to write: the one that is named, or a temporary one to open."""
    if output is not None:
        return output
    if not open_:
        raise CommandError(
            "no file is named for the picture",
            fix="add -o picture.svg to write it, or --open to see it",
        )
    handle, name = tempfile.mkstemp(prefix="handcraft-", suffix=".svg")
    os.close(handle)
    return Path(name)


def _circuit_of(file: Path, architecture: str | None, positions: str | None) -> What | None:
    """The circuit, where the file or how to compile asks for it; else None."""
    is_graph = file.suffix.lower() == ".dot"
    return "circuit" if is_graph or architecture is not None or positions is not None else None


def _best(subject: Subject) -> What:
    """The picture that says most, of those that can be drawn.

    Of circuits that were laid out by hand that is not the program that says what they should mean.
    """
    meaning = subject.meaning
    if meaning is not None and (subject.weights is None or subject.weights.rules or meaning.outputs):
        return "program"
    return "circuit" if subject.circuits is not None else "weights"


def _subject(
    name: str | None,
    lines: list[str],
    what: str | None,
    architecture: str | None,
    positions: str | None,
) -> tuple[Subject, str | None]:
    """What there is to draw, and a note for the user."""
    chosen = {"architecture": architecture, "positions": positions}
    if name is not None and not lines and os.path.isdir(name):
        check_not_compiled(name, chosen)
        subject = replace(subject_of(name), name=Path(name).resolve().name)
        if subject.weights is None:
            only = "only its numbers are known" if subject.meaning is None else "numbers have no names"
            return subject, f"{name} has no handcraft.json, so {only}"
        return subject, None
    found = find(name, lines)
    title = (
        "rules" if name is None or lines else Path(name.partition(":")[0]).stem.strip("-") or "rules"
    )
    if isinstance(found.source, Program) and what in (None, "program"):
        return Subject(title, found.source.meant), found.note
    subject = subject_found(found, architecture=architecture, positions=positions)
    return replace(subject, name=title), found.note


def _rule(wanted: str, subject: Subject) -> str:
    """The text of the rule that the command line names."""
    weights = subject.weights
    return named_rule(wanted, subject.rules, [] if weights is None else served_by(weights.origins))


def _prompt(subject: Subject) -> str:
    """How to give a prompt."""
    assert subject.model is not None
    return f"give one, as in --prompt {shlex.quote(subject.model.vocabulary.tokens[0])}"
