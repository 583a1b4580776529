"""`handcraft explain`: what weights are for."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Annotated

import typer

from handcraft.cli.completion import known_programs
from handcraft.cli.options import Json, Lines
from handcraft.cli.printing import note, print_json
from handcraft.cli.sources import compile_found, find
from handcraft.cli.weight_table import print_table
from handcraft.display import count
from handcraft.errors import CommandError
from handcraft.weights import Weight, Weights

EXAMPLES = (
    "handcraft explain programs/aab.py",
    "handcraft explain programs/aab.py h.0.mlp.c_proj.weight 0 1",
    "handcraft explain aab/ h.0.mlp.c_fc.bias 0",
    "handcraft explain aab/ wte.weight",
    "handcraft explain aab h.0.attn.c_attn.weight --nonzero",
    'handcraft explain aab --rule "predict b after aa"',
)

SHOWN = 40
"""How many weights are shown of a tensor that is not a table, without `--nonzero`."""


def explain(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="PROGRAM [TENSOR [INDEX]]",
            help="A program, a compiled folder or -, the name of a tensor, and its row and column.",
            autocompletion=known_programs,
        ),
    ],
    lines: Lines = None,
    rule: Annotated[
        str | None,
        typer.Option(help="Every weight that serves one rule: its number, its text, or a part of it."),
    ] = None,
    nonzero: Annotated[
        bool, typer.Option("--nonzero", help="Every weight of the tensor that is not 0.")
    ] = False,
    json_: Json = False,
) -> None:
    """Explain what weights stand for, and which rules they serve.

    Without an index the whole tensor is shown, as a table if it fits on the screen;
    without a tensor, the tensors are listed. With -e, leave out the program.
    """
    name, rest = (None, arguments) if lines else (arguments[0], arguments[1:])
    tensor, index = (rest[0], _numbers(rest[1:])) if rest else (None, ())
    found = find(name, lines or ())
    note(found.note)
    weights = found.folder.weights if found.folder else compile_found(found.source).weights
    if rule is not None:
        _show_rule(weights, rule, tensor, index, json_)
    elif tensor is None:
        _show_tensors(weights, nonzero, json_)
    elif index:
        _show_weight(weights.weight(tensor, index), json_)
    else:
        _show_tensor(weights, tensor, nonzero, json_)


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
