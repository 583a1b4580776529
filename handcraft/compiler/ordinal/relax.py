"""Lines in place of steps, where answers are decoded right all the same."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from handcraft.compiler.ordinal.form import Form
from handcraft.compiler.ordinal.read_form import NotASumError, Reader
from handcraft.language.graph.node import Node

WITHIN = Fraction(1, 4)
"""By how much lines may put an answer off. Half of the distance to the next one is the end."""


def relax(reader_for: Callable[[frozenset[Node]], Reader], read: Callable[[Reader], Form]) -> Form:
    """The form with the fewest steps, of those whose error stays within `WITHIN`.

    Expressions that take steps are tried one after the other, those that others are made from first.
    An expression with a line through its values is off by the line's error; that error is followed
    through all that is made from it, and every later step must still be distinguishable.

    Args:
        reader_for: gives a reader that lays lines through some expressions.
        read: reads the answer.

    Raises:
        NotASumError: the answer is no form at all.
    """
    first = reader_for(frozenset())
    best = read(first)
    lines: frozenset[Node] = frozenset()
    for candidate in first.bent:
        try:
            form = read(reader_for(lines | {candidate}))
        except NotASumError:
            continue
        if form.error <= WITHIN and form.steps < best.steps:
            best, lines = form, lines | {candidate}
    return best
