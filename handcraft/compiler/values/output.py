"""An output of a model of values: its domain, and the sum over the residual stream that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import isfinite

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Coefficients, Subspace
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading
from handcraft.compiler.features.places import Places
from handcraft.display import short_repr
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Domain, Finite, Kind, Plain, Value, as_number, whole
from handcraft.language.graph.node import Node
from handcraft.language.sequences.expression import Expression
from handcraft.model.layers.attention import Array
from handcraft.origin import Place


@short_repr
@dataclass(frozen=True)
class Wanted:
    """An output whose value will be stored, before its place in the residual stream is known.

    Args:
        output: the output, which reads nothing yet.
        reading: the number that stands for a value: itself, or its place among the values.
    """

    output: Output
    reading: Reading

    @classmethod
    def of(cls, name: str, expression: Expression, node: Node, features: Features) -> Wanted:
        """The number to be stored for the value of an expression."""
        domain, place = expression.domain, expression.node.place
        if domain.kind is Kind.NUMBER:
            finer = node.domain.parts < domain.parts  # a sum of means was merged into one mean
            known = node.domain if finer else domain
            return cls(Output(name, known, (), place=place), features.number(node))
        assert isinstance(domain, Finite)
        assert isinstance(node.domain, Finite)
        places = {(isinstance(v, bool), v): i for i, v in enumerate(domain.values)}
        numbers = tuple(places[isinstance(v, bool), v] for v in node.domain.values)
        return cls(Output(name, domain, (), place=place), features.read(node, numbers))

    def placed(self, places: Places) -> Output:
        """The output, once every feature has its dimensions."""
        reads = places.coefficients(self.reading)
        return replace(self.output, reads=reads, constant=self.reading.constant)


@short_repr
@dataclass(frozen=True)
class Output:
    """One expression, and how its value is read from the residual stream.

    Args:
        name: of the output.
        domain: the values it can have.
        reads: a sum over the subspaces, which plus the constant is the number that stands for a value:
            a number stands for itself, any other value is represented by its index in the domain.
        constant: what is added to that sum.
        error_bound: the error bound of that number in the model.
        place: where the expression was written.
    """

    name: str
    domain: Domain
    reads: tuple[Coefficients, ...]
    constant: Plain = 0
    error_bound: float = 0
    place: Place | None = None

    def exact(
        self, stream: Mapping[Subspace, npt.NDArray[np.object_]], shape: tuple[int, ...]
    ) -> npt.NDArray[np.object_]:
        """Its numbers in a residual stream of the ideal circuits: [batch, position].

        Args:
            stream: for each subspace, [batch, position, width].
            shape: the number of texts, and of positions.
        """
        total = np.full(shape, self.constant, dtype=object)
        for part in self.reads:
            for i, number in part.entries:
                total = total + stream[part.subspace][..., i] * number
        return total

    def meant(self, number: Plain) -> Value:
        """The value that an exact number stands for.

        Raises:
            ValueError: the number stands for no value of the domain.
        """
        if self.domain.kind is Kind.NUMBER:
            value = whole(Fraction(number))
            if value in self.domain:
                return value
        else:
            assert isinstance(self.domain, Finite)
            if number.denominator == 1 and 0 <= number < len(self.domain.values):
                return self.domain.values[int(number)]
        raise ValueError(f"`{self.name}` is {number}, but its values are {self.domain}")

    def number(self, value: Value) -> Plain:
        """The number that stands for a value."""
        if self.domain.kind is Kind.NUMBER:
            return as_number(value)
        return self._places[isinstance(value, bool), value]

    def is_right(self, number: float, value: Value) -> bool:
        """Whether a number stands for a value: is nearest to it, or within its error bound."""
        if self.is_distinguishable:
            return self.value(number) == value
        return abs(number - float(self.number(value))) <= self.error_bound

    def value(self, number: float) -> Value:
        """The value that a number of the residual stream stands for.

        If a tolerance allowed values that the weights do not distinguish, it stays a float; so do
        infinity and NaN.
        """
        if not self.is_distinguishable or not isfinite(number):
            return number
        if not isinstance(self.domain, Finite):
            unit = self.domain.unit
            return whole((Fraction(number) / unit).limit_denominator(self.domain.parts) * unit)
        if self.domain.kind is not Kind.NUMBER:
            return self.domain.values[min(max(round(number), 0), len(self.domain.values) - 1)]
        return self.domain.values[int(np.abs(self._known - number).argmin())]

    @property
    def is_distinguishable(self) -> bool:
        """Whether the gap between two values is more than twice the error bound."""
        return self.gap > 2 * self.error_bound

    @cached_property
    def gap(self) -> Fraction:
        """The smallest difference between two of its numbers."""
        if self.domain.kind is not Kind.NUMBER:
            return Fraction(1)
        if isinstance(self.domain, Finite):
            return self.domain.gap
        parts = self.domain.parts
        return self.domain.unit / (parts * max(1, parts - 1))

    def check(self, dtype: str, tolerance: float) -> None:
        """Raise unless its values are distinguishable, or `tolerance` allows for their error.

        Args:
            dtype: of the weights.
            tolerance: the largest error bound that is allowed where values are not distinguishable.

        Raises:
            PrecisionError: the nearest value may be a neighbour of the right one.
        """
        is_number = self.domain.kind is Kind.NUMBER
        if self.is_distinguishable or (is_number and self.error_bound <= tolerance):
            return
        gap = float(self.gap)
        raise PrecisionError(
            f"`{self.name}` has values that differ by {gap:.3g}, but in {dtype} the error bound "
            f"of what the model stores is {self.error_bound:.3g}; less than {gap / 2:.3g} is safe",
            where=self.place,
            fix="a shorter context, or .assume() the values that occur",
            is_tight=True,
        )

    @cached_property
    def _known(self) -> Array:
        """The numbers of the domain, as floats."""
        assert isinstance(self.domain, Finite)
        return np.array([float(as_number(v)) for v in self.domain.values])

    @cached_property
    def _places(self) -> dict[tuple[bool, Value], int]:
        assert isinstance(self.domain, Finite)
        return {(isinstance(value, bool), value): i for i, value in enumerate(self.domain.values)}
