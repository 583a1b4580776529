"""Functions of one value as tuples of numbers, and when two of them can share a dimension."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

from handcraft.circuits.number import plainest
from handcraft.compiler.features.feature import ITSELF, Feature, Numbers
from handcraft.compiler.passes.ir import Attend, StepFunction
from handcraft.language.graph.domain import Finite, Plain, Value, as_number
from handcraft.language.graph.node import Assumed, Lookup


def places_of_values(node: Lookup | Assumed | Attend | StepFunction) -> list[int]:
    """For each value of the argument of a node, the index of the value of the node.

    Values that never occur count as the first. The argument of a step function is the number of
    thresholds that are reached.
    """
    assert isinstance(node.domain, Finite)
    first = node.domain.values[0]
    match node:
        case Lookup():
            (argument,) = node.arguments
            assert isinstance(argument.domain, Finite)
            made: Sequence[Value] = [node.table.get((v,), first) for v in argument.domain.values]
        case Assumed() | Attend():
            assert isinstance(node.value.domain, Finite)
            made = [v if v in node.domain else first for v in node.value.domain.values]
        case StepFunction():
            made = node.values
    at = {_typed(v): i for i, v in enumerate(node.domain.values)}
    return [at[_typed(v)] for v in made]


def line_through(values: Sequence[Value], numbers: Numbers) -> tuple[Plain, Plain] | None:
    """Factor and constant if the numbers are a linear function of the values, else None."""
    first, second = as_number(values[0]), as_number(values[1])
    factor = Fraction(numbers[1] - numbers[0]) / (second - first)
    constant = numbers[0] - factor * first
    if all(factor * as_number(v) + constant == n for v, n in zip(values, numbers, strict=True)):
        return factor, constant
    return None


def usual(numbers: Numbers) -> Plain:
    """The most common number (the first of several), from which differences are stored.

    So a mark on one position is stored as a mark, and not as its absence everywhere else. Its mean is
    then 1/1000 rather than 999/1000, and float32 keeps more of its digits.
    """
    return Counter(numbers).most_common(1)[0][0]


def at_0(feature: Feature, numbers: Numbers) -> Plain:
    """The number of the value 0, which the begin token counts as."""
    if numbers == ITSELF:
        return 0
    return numbers[[as_number(value) for value in feature.values].index(0)]


def canonical(numbers: Numbers, constant: Plain) -> tuple[Numbers, Plain, Plain]:
    """The numbers as a factor times whole numbers, plus a constant.

    Functions that differ by scale and offset share a dimension.
    """
    left = [n - constant for n in numbers] if constant else numbers
    below = lcm(*{n.denominator for n in left})
    whole = [int(n * below) for n in left]
    if below > 1 << 20:
        return tuple(left), 1, constant
    common = gcd(*whole)
    first = next(n for n in whole if n)
    sign = 1 if first > 0 else -1
    shape = tuple(n // common * sign for n in whole)
    return shape, plainest(Fraction(common * sign, below)), constant


def _typed(value: Value) -> tuple[bool, Value]:
    return isinstance(value, bool), value
