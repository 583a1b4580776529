"""Words that are others in Python than on a command line: what errors advise, their callers can do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Phrase:
    """The same advice in two languages.

    Args:
        python: for who calls a function.
        command: for who typed a command.
    """

    python: str
    command: str


Words: TypeAlias = str | Phrase
"""What an error says: the same for everybody, or not."""


def setting(name: str, value: object = None) -> Phrase:
    """An argument of a function, which is an option of a command.

    Args:
        name: of the argument.
        value: what it is set to; None to name it only.

    >>> setting("n_positions", 8)
    Phrase(python='n_positions=8', command='--n-positions 8')
    >>> setting("rule")
    Phrase(python='rule=', command='--rule')
    """
    option = f"--{name.replace('_', '-')}"
    if value is None:
        return Phrase(f"{name}=", option)
    return Phrase(f"{name}={value!r}", f"{option} {shlex.quote(str(value))}")


def either(name: str, values: Sequence[object]) -> Phrase:
    """One of several values of a setting.

    >>> either("format", ["onnx", "npz"])
    Phrase(python="format='onnx' or 'npz'", command='--format onnx or npz')
    """
    first = setting(name, values[0])
    python = [first.python, *map(repr, values[1:])]
    command = [first.command, *map(str, values[1:])]
    return Phrase(_or(python), _or(command))


def _or(words: Sequence[str]) -> str:
    return " or ".join([*filter(None, [", ".join(words[:-1])]), words[-1]])


def phrase(*parts: Words) -> Phrase:
    """Parts one after the other.

    >>> phrase("leave out ", setting("rule"))
    Phrase(python='leave out rule=', command='leave out --rule')
    """
    return Phrase("".join(map(in_python, parts)), "".join(map(on_command_line, parts)))


def listed(parts: Sequence[Words], between: str = ", ") -> Phrase:
    """Parts with something between them."""
    return Phrase(between.join(map(in_python, parts)), between.join(map(on_command_line, parts)))


def in_python(words: Words) -> str:
    """What they are for who calls a function."""
    return words.python if isinstance(words, Phrase) else words


def on_command_line(words: Words) -> str:
    """What they are for who typed a command."""
    return words.command if isinstance(words, Phrase) else words
