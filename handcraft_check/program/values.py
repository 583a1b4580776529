"""Models of values: numbers in the residual stream that stand for what expressions mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.errors import CheckError
from handcraft_check.program.nodes import FLAG, NUMBER, Reader, fields, items, read_number

OUTPUTS_UP_TO = 10_000

SLACK = 1e-12
"""More than float64 can be off, relatively to all terms, in a weighted sum of dimensions."""

BITS = 500
"""What is stated of an output is 0, or between 2^-500 and 2^500: no product with float32 numbers, or
sum of products, leaves the normal numbers of float64, where `SLACK` holds."""


@dataclass(frozen=True)
class Output:
    """A number that is read from the last residual stream at every position, and what it stands for.

    Args:
        name: what people call it.
        node: its value, a number; a flag counts as 0 or 1.
        reads: dimensions of the stream, each with a factor.
        constant: what is added to the sum of these.
        within: how far the number may be from the value.
    """

    name: str
    node: int
    reads: tuple[tuple[int, Fraction], ...]
    constant: Fraction
    within: Fraction

    @classmethod
    def read(cls, data: object, reader: Reader, where: str) -> Output:
        """One output of a certificate.

        Raises:
            CheckError: it is not exactly of the form that is documented.
        """
        given = fields(data, ("name", "node", "reads", "constant", "within"), where)
        if not isinstance(given["name"], str):
            raise CheckError("the name is no text", where)
        reads: dict[int, Fraction] = {}
        for pair in items(given["reads"], f"{where}.reads", most=1 << 16):
            dimension, factor = items(pair, f"{where}.reads", most=2, length=2)
            if type(dimension) is not int or not 0 <= dimension < 1 << 24 or dimension in reads:
                raise CheckError(f"{dimension!r} is no dimension, or is there twice", f"{where}.reads")
            reads[dimension] = _normal(factor, f"{where}.reads")
        within = _normal(given["within"], f"{where}.within")
        if within <= 0:
            raise CheckError("not above 0", f"{where}.within")
        return cls(
            given["name"],
            reader.index(given["node"], f"{where}.node", NUMBER, FLAG),
            tuple(reads.items()),
            _normal(given["constant"], f"{where}.constant"),
            within,
        )

    def __str__(self) -> str:
        terms = [f"{factor} * dimension {dimension}" for dimension, factor in self.reads]
        read = " + ".join([*terms, *([str(self.constant)] if self.constant or not terms else [])])
        return f"{read} is v{self.node}, within {self.within}"


def _normal(data: object, where: str) -> Fraction:
    """A number of which float64 knows all digits but the last ones."""
    found = Fraction(read_number(data, where))
    if found and not Fraction(1, 1 << BITS) <= abs(found) <= 1 << BITS:
        raise CheckError(f"neither 0 nor between 2^-{BITS} and 2^{BITS}", where)
    return found


def as_float(number: int | Fraction) -> float:
    """The nearest number of float64; infinite where it is too large for one.

    >>> as_float(Fraction(1, 2)), as_float(-(1 << 2000))
    (0.5, -inf)
    """
    try:
        return float(number)
    except OverflowError:
        return np.inf if number > 0 else -np.inf


def read_outputs(data: object, reader: Reader, where: str) -> tuple[Output, ...]:
    """The outputs of a certificate: at least one, each with a name of its own."""
    listed = items(data, where, most=OUTPUTS_UP_TO)
    found = tuple(Output.read(each, reader, f"{where}[{i}]") for i, each in enumerate(listed))
    if not found or len({each.name for each in found}) < len(found):
        raise CheckError("there are no outputs, or two of one name", where)
    return found


class ValueReader:
    """Reads the outputs of a model.

    Args:
        outputs: what is read.
        width: of the residual stream.

    Raises:
        CheckError: an output reads a dimension that the model has not.
    """

    def __init__(self, outputs: Sequence[Output], width: int) -> None:
        self.weight = np.zeros((width, len(outputs)))
        for column, output in enumerate(outputs):
            for dimension, factor in output.reads:
                if dimension >= width:
                    raise CheckError(
                        f"{output.name!r} reads dimension {dimension}, and the model has {width}",
                        "certificate.json: meaning.answer.values",
                    )
                self.weight[dimension, column] = float(factor)
        self.constant = np.array([float(output.constant) for output in outputs])
        self.within = np.array([float(output.within) for output in outputs]) * (1 - SLACK)

    def read(self, x: Stream) -> tuple[Array, Array]:
        """The numbers of the last stream, and how far those of the model may be: [row, output] each.

        They are the exact sums of the numbers that the model computes.
        """
        readers = x.along.readers("values", lambda: self.weight)
        size = (np.abs(x.center) + x.error) @ np.abs(self.weight) + np.abs(self.constant)
        return x.center @ self.weight + self.constant, x.spread(readers) + SLACK * size

    def shares(self, center: Array, error: Array, values: Array) -> Array:
        """How far outputs may be from their values, of what is allowed: the most of each row, [row].

        Args:
            center: [row, output].
            error: [row, output].
            values: [row, output].
        """
        off = np.abs(center - values) + error + SLACK * np.abs(values)
        found = (off / self.within).max(axis=1)
        return np.where(np.isnan(found), np.inf, found)

    def surely(self, center: Array, error: Array, values: Array) -> Array:
        """A lower bound of the same, for each output, NaN for none: [row, output]."""
        with np.errstate(invalid="ignore"):
            off = np.abs(center - values) - error - SLACK * np.abs(values)
        return np.asarray(off / self.within * (1 - 4 * SLACK))


def named(outputs: Sequence[Output]) -> Mapping[str, Any]:
    """What is allowed of each output, by its name."""
    return {output.name: float(output.within) for output in outputs}
