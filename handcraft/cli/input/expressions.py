"""Python files with expressions but no program: which expressions are the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from handcraft.display import shorten_value
from handcraft.errors import CommandError, ProgramError
from handcraft.language import Prompts
from handcraft.language.graph.node import Embedded
from handcraft.language.sequences.expression import Expression, check_same
from handcraft.vocabulary import shorten

OUTPUTS = "outputs"
"""What a file calls its table of names and expressions."""


@dataclass(frozen=True)
class Expressions:
    """Expressions with names, all over the same prompts.

    They are stated where the file has a table of them, or names one; else all of its variables count.
    """

    outputs: Mapping[str, Expression]
    is_stated: bool

    @property
    def prompts(self) -> Prompts:
        """The prompts that they belong to."""
        return next(iter(self.outputs.values())).prompts

    @property
    def note(self) -> str | None:
        """Which were taken, where the file does not say so."""
        if self.is_stated:
            return None
        taken = shorten(list(self.outputs))
        return f"no program, so each variable that is an expression is an output: {taken}"


def find_expressions(
    defined: Mapping[str, object], wanted: str | None, path: Path
) -> Expressions | None:
    """The expressions that a file computes: its `outputs`, else its variables but for sources.

    `wanted` is the name of one expression, or of a table of them; None for what the file states.

    Returns:
        None where it has none.

    Raises:
        CommandError: `outputs` is not a dictionary of named expressions.
        ProgramError: they belong to several `Prompts`.
    """
    name = wanted or OUTPUTS
    stated = defined.get(name)
    if isinstance(stated, Expression):
        return Expressions({name: stated}, is_stated=True)
    if isinstance(stated, Mapping):
        return _checked(Expressions(_table(stated, name, path), is_stated=True))
    if wanted is not None:
        return None
    if stated is not None and not callable(stated):
        raise CommandError(
            f"`{OUTPUTS}` is {shorten_value(stated)}, not a dictionary of named expressions",
            where=path,
            fix=f'write {OUTPUTS} = {{"name": expression}}',
        )
    found = _computed(defined)
    return _checked(Expressions(found, is_stated=False)) if found else None


def names_of_expressions(defined: Mapping[str, object]) -> list[str]:
    """The variables of a file that are expressions, but for tokens and positions themselves."""
    return [*_computed(defined)]


def _computed(defined: Mapping[str, object]) -> dict[str, Expression]:
    return {
        name: value
        for name, value in defined.items()
        if isinstance(value, Expression)
        and not name.startswith("_")
        and not isinstance(value.node, Embedded)
    }


def _table(stated: Mapping[object, object], called: str, path: Path) -> dict[str, Expression]:
    found: dict[str, Expression] = {}
    for name, value in stated.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise CommandError(
                f"`{called}` has the name {shorten_value(name)}", where=path, fix="give it a word"
            )
        if not isinstance(value, Expression):
            raise CommandError(
                f"{name!r} of `{called}` is {shorten_value(value)}, and that is not an expression",
                where=path,
                fix=".count() and .exists() make one of a selection, prompts.constant(x) of a value",
            )
        found[name] = value
    if not found:
        raise CommandError(f"`{called}` is empty", where=path, fix="name at least one expression")
    return found


def _checked(found: Expressions) -> Expressions:
    for expression in found.outputs.values():
        try:
            check_same(found.prompts, expression)
        except ProgramError as error:
            place = expression.node.place or error.where
            raise ProgramError(error.what, where=place, fix=error.fix) from None
    return found
