"""`handcraft run`: continue a prompt."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from handcraft.cli.input.completion import known_programs
from handcraft.cli.input.options import Json, Lines
from handcraft.cli.input.sources import load_model
from handcraft.cli.output.printing import note, print_json
from handcraft.compiler import complete
from handcraft.display import count
from handcraft.errors import CommandError, PromptError
from handcraft.language import Prompts
from handcraft.language.sliding import sliding_note

if TYPE_CHECKING:
    from handcraft.compiler.values.value_model import ValueModel

EXAMPLES = (
    "handcraft run programs/aab.py aab",
    'handcraft run -e "predict b after aa" aab',
    "handcraft run aab/ aab -n 20",
)

N_HELP = "How many tokens to add: by default 10, or the whole answer to an allowed prompt."
REGARDLESS_HELP = "Answer prompts that are not allowed too, and continue past the declared answer."


def run(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="PROGRAM TEXT",
            help="A program, a compiled folder or -, and a prompt.",
            autocompletion=known_programs,
        ),
    ],
    lines: Lines = None,
    n: Annotated[int | None, typer.Option("-n", min=0, help=N_HELP, show_default=False)] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 always takes the best token.")] = 0.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Sample among the k best tokens.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes sampling repeatable.")] = None,
    regardless: Annotated[bool, typer.Option("--regardless", help=REGARDLESS_HELP)] = False,
    json_: Json = False,
) -> None:
    """Continue a prompt; for expressions, print their values at each position of a text.

    With -e, leave out the program: the rules replace it.
    If a program declares which prompts are allowed, it answers no others,
    and the answer ends where the declared answer is complete.
    """
    wanted = 1 if lines else 2
    if len(arguments) != wanted:
        raise _wrongcount(arguments, is_rule=bool(lines))
    name, text = (None, arguments[0]) if lines else (arguments[0], arguments[1])
    loaded = load_model(name, lines or ())
    note(loaded.note)
    prompts = None if regardless else loaded.known_prompts
    try:
        if loaded.values is not None:
            _check_no({"n": n, "temperature": temperature or None, "top_k": top_k, "seed": seed})
            _print_values(loaded.values, text, prompts, json_)
            return
        answer = complete(
            loaded.model, text, n, temperature=temperature, top_k=top_k, seed=seed, prompts=prompts
        )
    except PromptError as error:
        error.fix = f"{error.fix}; --regardless answers any prompt"
        raise
    added = len(loaded.model.vocabulary.split(answer))
    read = len(loaded.model.vocabulary.split(text)) + added - 1
    note(sliding_note(loaded.source, loaded.model.context, read))
    if n is not None and added < n:
        note(f"nothing is promised after {added} of {n} tokens; --regardless continues")
    if json_:
        print_json({"prompt": text, "completion": answer, "tokens": added})
    else:
        print(f"{text} :: {answer}")


def _check_no(given: Mapping[str, object]) -> None:
    """Raise where an option is given that is about what follows a prompt."""
    names = [
        "-n" if name == "n" else f"--{name}".replace("_", "-")
        for name in given
        if given[name] is not None
    ]
    if names:
        raise CommandError(
            f"{', '.join(names)}: the model computes values, and does not continue a text",
            fix=f"leave out {', '.join(names)}",
        )


def _print_values(values: ValueModel, text: str, prompts: Prompts | None, as_json: bool) -> None:
    """The values of every output at each position of a text."""
    from handcraft.cli.output.value_table import value_table
    from handcraft.language.graph.domain import json_value

    tokens = values.model.vocabulary.split(text)
    values.checked(text)
    if prompts is not None:
        prompts.check_allowed(tokens)
    found = {name: lines[0] for name, lines in values.apply([text]).items()}
    if as_json:
        data = {name: [json_value(value) for value in line] for name, line in found.items()}
        print_json({"text": text, "tokens": list(tokens), "values": data})
        return
    print(value_table(tokens, found))


def _wrongcount(arguments: list[str], *, is_rule: bool) -> CommandError:
    from handcraft.cli.input.example_prompt import example_prompt

    expected = "TEXT" if is_rule else "PROGRAM TEXT"
    example = example_prompt(arguments[0]) if len(arguments) == 1 and not is_rule else None
    if example is None:
        fix = f"give {expected}; quote a text that contains spaces"
    else:
        fix = f"give {expected}, as in {shlex.join(['handcraft', 'run', arguments[0], example])}"
    return CommandError(f"{count(len(arguments), 'argument')}: {' '.join(arguments)}", fix=fix)
