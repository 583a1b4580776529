"""Constructs that rule files cannot express, and the Python for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Beyond:
    """A construct that needs Python.

    Args:
        name: its description in errors.
        python: one expression that shows it; `token` and `position` are those of some `Prompts`.
    """

    name: str
    python: str


MEAN = Beyond("a mean over positions", 'select(token, "a").mean(position, default=0) > 2')
EARLIEST = Beyond("the earliest of some positions", 'select(token, "a").earliest(token, default="b")')
CHOICE = Beyond("a choice between two values", 'where(token == "a", token.at_position(0), token)')
WINDOW = Beyond("a window of positions", "window(3).mean(position) > 1")
WEIGHTED = Beyond("weights on positions", "weighted(position, {0: 1, -1: 10}) > 3")
FUNCTION = Beyond("a table of two values", "lookup(max, token, token.at_position(0))")
STATE = Beyond("a state that every token changes", 'regex("(ab)*").accepts(token)')
UNMASKED = Beyond("a program without causal mask", 'Prompts("ab", 4, causal=False)')
ASSUMED = Beyond("an assumption about values", 'select(token, "a").count().assume([0, 1])')

WORDS = {
    "mean": MEAN,
    "average": MEAN,
    "earliest": EARLIEST,
    "where": CHOICE,
    "window": WINDOW,
    "weighted": WEIGHTED,
    "lookup": FUNCTION,
    "map": FUNCTION,
    "regex": STATE,
    "state": STATE,
    "causal": UNMASKED,
    "mask": UNMASKED,
    "assume": ASSUMED,
}
"""The words in a rule file that suggest one of them."""
