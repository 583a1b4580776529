"""The report of a compiled model."""

from __future__ import annotations

from handcraft import Prompts, select
from handcraft.compiler import compile_sequences

PROMPTS = Prompts("abc", context=5)


def chain(first: str, second: str) -> tuple[str, ...]:
    """The longest chain where two heads take equally long."""
    token, position = PROMPTS.token, PROMPTS.position
    outputs = {
        "x": select(token, token).mean(position).named(first),
        "y": PROMPTS.everything.mean(position).named(second),
    }
    return compile_sequences(outputs).report().chain


def test_of_equally_long_chains_the_first_is_shown_whatever_the_names():
    assert chain("p", "q") == ("head p",)
    assert chain("q", "p") == ("head q",)
