"""`handcraft explain`: why a prompt is answered as it is, and what weights are for."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handcraft.cli.input.completion import known_programs
from handcraft.cli.input.options import ARCHITECTURE, Json, Lines
from handcraft.cli.input.sources import check_not_compiled, compile_found, find, subject_found
from handcraft.cli.output.printing import note, print_json
from handcraft.cli.output.weight_table import print_table
from handcraft.display import count
from handcraft.errors import CommandError
from handcraft.weights import Weight, Weights

if TYPE_CHECKING:
    from handcraft.explain import Explanation

EXAMPLES = (
    "handcraft explain programs/aab.py --prompt aab",
    "handcraft explain aab/ --prompt aab --format markdown",
    "handcraft explain programs/aab.py",
    "handcraft explain programs/aab.py h.0.mlp.c_proj.weight 0 1",
    "handcraft explain aab/ h.0.mlp.c_fc.bias 0",
    "handcraft explain aab/ wte.weight",
    "handcraft explain aab h.0.attn.c_attn.weight --nonzero",
    'handcraft explain aab --rule "predict b after aa"',
)

FORMS = ("text", "markdown", "json", "html")
"""How a prediction can be explained."""

SHOWN = 40
"""How many weights are shown of a tensor that is not a table, without `--nonzero`."""


def explain(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROGRAM [TENSOR [INDEX]]",
            help="A program, a compiled folder or -; and the name of a tensor, its row and column.",
            autocompletion=known_programs,
            show_default=False,
        ),
    ] = None,
    lines: Lines = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Explain one prediction: the answer after this text.", show_default=False),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help=f"With --prompt: {', '.join(FORMS)}; text by default.", show_default=False
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(help="Every weight that serves one rule: its number, its text, or a part of it."),
    ] = None,
    nonzero: Annotated[
        bool, typer.Option("--nonzero", help="Every weight of the tensor that is not 0.")
    ] = False,
    architecture: Annotated[str | None, ARCHITECTURE] = None,
    json_: Json = False,
) -> None:
    """Explain one prediction, or what weights stand for and which rules they serve.

    With --prompt: which rules fire and which nearly do, the values, where heads
    attend and why, which neurons fire, and what adds up to the logits.
    Without an index a whole tensor is shown, as a table if it fits on the screen;
    without a tensor, the tensors are listed. With -e, leave out the program.
    """
    given = arguments or []
    if not given and not lines:
        raise CommandError(
            "no program is named", fix="name a program or a folder, or give rules with -e"
        )
    name, rest = (None, given) if lines else (given[0], given[1:])
    if prompt is not None:
        unused = [*rest, *(["--rule"] if rule is not None else []), *(["--nonzero"] if nonzero else [])]
        if unused:
            raise CommandError(
                f"a prompt and what is about weights are both given: {shlex.join(unused)}",
                fix=f"leave out --prompt, or {shlex.join(unused)}",
            )
        _show_prediction(_explained(name, lines or (), prompt, architecture), _form(form, json_))
        return
    if form is not None:
        raise CommandError(
            f"--format {form} without a prompt", fix="give one, as in --prompt aab; or use --json"
        )
    tensor, index = (rest[0], _numbers(rest[1:])) if rest else (None, ())
    found = find(name, lines or ())
    note(found.note)
    if found.folder is not None:
        check_not_compiled(found.folder.folder, {"architecture": architecture})
        weights = found.folder.weights
    else:
        weights = compile_found(found.source, architecture=architecture).weights
    if rule is not None:
        _show_rule(weights, rule, tensor, index, json_)
    elif tensor is None:
        _show_tensors(weights, nonzero, json_)
    elif index:
        _show_weight(weights.weight(tensor, index), json_)
    else:
        _show_tensor(weights, tensor, nonzero, json_)


def _form(wanted: str | None, as_json: bool) -> str:
    if as_json and wanted not in (None, "json"):
        raise CommandError(f"--json and --format {wanted}", fix="leave out one of them")
    form = "json" if as_json else wanted or "text"
    if form not in FORMS:
        near = get_close_matches(form, FORMS, n=1)
        raise CommandError(
            f"--format {form}",
            fix=f"did you mean {near[0]}?" if near else f"use one of: {', '.join(FORMS)}",
        )
    return form


def _explained(
    name: str | None, lines: Sequence[str], prompt: str, architecture: str | None
) -> Explanation:
    """The answer after a prompt explained, also for a folder without handcraft.json."""
    from handcraft.explain import explain_prediction

    if name is not None and not lines and Path(name).is_dir():
        from handcraft.formats import is_checkpoint, subject_of

        check_not_compiled(name, {"architecture": architecture})
        if not is_checkpoint(Path(name)):
            return explain_prediction(subject_of(name), prompt)
    found = find(name, lines)
    note(found.note)
    return explain_prediction(subject_found(found, architecture=architecture), prompt)


def _show_prediction(explanation: Explanation, form: str) -> None:
    if form == "json":
        print_json(explanation.to_json())
    elif form == "markdown":
        print(explanation.to_markdown(), end="")
    elif form == "html":
        print(explanation.to_html())
    elif sys.stdout.isatty():
        from rich.console import Console

        from handcraft.explain.write_text import print_explanation

        print_explanation(explanation, Console())
    else:
        print(explanation)


def _numbers(words: list[str]) -> tuple[int, ...]:
    wrong = [word for word in words if not word.isdecimal()]
    if wrong:
        raise CommandError(
            f"{wrong[0]!r} is not a row or column", fix="give whole numbers, 0 for the first"
        )
    return tuple(map(int, words))


def _show_weight(weight: Weight, as_json: bool) -> None:
    if as_json:
        print_json(weight.to_json())
        return
    print(weight)


def _show_rule(
    weights: Weights, rule: str, tensor: str | None, index: tuple[int, ...], as_json: bool
) -> None:
    if index:
        raise CommandError(
            f"a rule and a weight are both given: {shlex.join(map(str, index))}",
            fix="leave out the rule, or row and column",
        )
    text = weights.rule(rule)
    if tensor is not None:
        weights.shape(tensor)
    tensors = list(weights.model.tensors) if tensor is None else [tensor]
    served = list(weights.serving(text, tensors))
    if as_json:
        print_json({"rule": text, "weights": [weight.to_json() for weight in served]})
        return
    print(f"rule: {text}")
    print(f"served by {count(len(served), 'weight')}")
    _print_lines(served, with_rules=False)


def _show_tensors(weights: Weights, nonzero: bool, as_json: bool) -> None:
    if nonzero:
        raise CommandError("no tensor is named", fix="name one before --nonzero, as in wte.weight")
    rows = [
        {
            "tensor": name,
            "shape": list(values.shape),
            "nonzero": int((values != 0).sum()),
        }
        for name, values in weights.model.tensors.items()
    ]
    if as_json:
        print_json(rows)
        return
    widths = [max(len(str(row[key])) for row in rows) for key in ("tensor", "shape")]
    for row in rows:
        print(f"{row['tensor']:<{widths[0]}}  {row['shape']!s:<{widths[1]}}  {row['nonzero']} not 0")


def _show_tensor(weights: Weights, tensor: str, nonzero: bool, as_json: bool) -> None:
    shape = list(weights.shape(tensor))
    if as_json:
        found = [weight.to_json() for weight in weights.nonzero(tensor)]
        print_json({"tensor": tensor, "shape": shape, "weights": found})
        return
    if not nonzero and print_table(weights, tensor):
        return
    listed = list(weights.nonzero(tensor))
    print(f"{tensor} {shape}: {count(len(listed), 'weight')} not 0")
    _print_lines(listed if nonzero else listed[:SHOWN], with_rules=True)
    if not nonzero and len(listed) > SHOWN:
        note(f"{len(listed) - SHOWN:,} more are not 0; --nonzero lists all")


def _print_lines(weights: Iterable[Weight], *, with_rules: bool) -> None:
    """A line for each weight."""
    for weight in weights:
        rules = f"  serves {', '.join(weight.serves)}" if with_rules and weight.serves else ""
        print(f"{weight.place} = {weight.value:g}  {' -> '.join(weight.stands_for)}{rules}")
