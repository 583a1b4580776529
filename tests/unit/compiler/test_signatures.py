"""What `help()` shows of the functions that compile: every choice, and nothing that fills a screen."""

from __future__ import annotations

import inspect
import typing

import pytest

from handcraft import Architecture, compile_program, compile_sequences
from handcraft.architecture import ARCHITECTURES
from handcraft.compiler.encodings import POSITIONS, TOKENS
from handcraft.dtype import DTYPE_NAMES
from handcraft.model.grow import PUBLISHED

CHOICES = {
    "architecture": {each.name for each in ARCHITECTURES},
    "dtype": set(DTYPE_NAMES),
    "positions": set(POSITIONS),
    "tokens": set(TOKENS),
    "like": set(PUBLISHED),
}


def literals(hint):
    """All values that a type spells out."""
    if typing.get_origin(hint) is typing.Literal:
        return set(typing.get_args(hint))
    return set().union(*map(literals, typing.get_args(hint)))


@pytest.mark.parametrize("function", [compile_program, compile_sequences])
def test_a_signature_names_every_choice_and_no_other(function):
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(function)
    for name in parameters.keys() & CHOICES.keys():
        refused = {"llama"} if (function, name) == (compile_sequences, "architecture") else set()
        assert literals(hints[name]) == CHOICES[name] - refused, name
        assert parameters[name].default in {*CHOICES[name], None}


@pytest.mark.parametrize("function", [compile_program, compile_sequences])
def test_help_describes_every_argument_once_and_fits_a_screen(function):
    signature = inspect.signature(function)
    assert max(len(repr(p.default)) for p in signature.parameters.values()) < 65
    arguments = inspect.getdoc(function).split("Args:")[1].split("Raises:")[0]
    for name in signature.parameters:
        assert arguments.count(f"\n    {name}: ") == 1
    assert len(inspect.getdoc(function).splitlines()) < 50


def test_an_architecture_of_ones_own_is_taken_besides_the_names():
    assert Architecture in typing.get_args(typing.get_type_hints(compile_program)["architecture"])
