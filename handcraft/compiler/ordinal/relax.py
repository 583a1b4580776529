"""Linear fits in place of steps, where answers are decoded right all the same."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from handcraft.compiler.ordinal.approximate_sum import ApproximateSum, step_layers
from handcraft.compiler.ordinal.read_sum import Counted, NotASumError, Reader
from handcraft.language.graph.node import Node

WITHIN = Fraction(1, 4)
"""How far linear fits may shift an answer; half of the distance to the next one would change it."""


def relax(reader: Reader, answer: Node, counted: Counted) -> ApproximateSum:
    """The sum with the fewest steps, of those whose error bound is at most `WITHIN`.

    Expressions that take steps are tried one after the other, those that others are made from first.
    The error of a fit is followed through all that is made from it, and every later step must still be
    distinguishable.

    Args:
        reader: has read the answer.
        answer: the expression.
        counted: the number for each of its values.
    """
    best = reader.read(answer, counted)
    for candidate in reader.bent:
        tried = replace(reader, fitted=reader.fitted | {candidate})
        try:
            found = tried.read(answer, counted)
        except NotASumError:
            continue
        if found.error <= WITHIN and len(step_layers(found.terms)) < len(step_layers(best.terms)):
            best, reader = found, tried
    return best
