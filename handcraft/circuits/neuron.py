"""Neurons: a threshold on a linear function of the residual stream, or the positive part of one."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from handcraft.circuits.number import Plain
from handcraft.circuits.subspace import Coefficients, Encoding
from handcraft.display import short_repr
from handcraft.origin import Origin


@short_repr
@dataclass(frozen=True)
class Neuron:
    """A unit that is 1 where a sum of what it reads reaches a threshold, and 0 elsewhere.

    The sum must be an integer on every input, or else the gap says how far below the threshold it
    stays. How many hidden units of the MLP a neuron takes depends on the architecture.

    Args:
        name: its name in pictures, errors and explanations of weights.
        reads: what is added up.
        at_least: the threshold.
        writes: what is added to the residual stream where the threshold is reached.
        origins: what it serves.
        gap: how far below the threshold the sum is at least where it does not reach it; None for
            sums that are integers.
        most: an upper bound of the sum, if one is known that is tighter than the values of the
            subspaces imply.
    """

    name: str
    reads: tuple[Coefficients, ...]
    at_least: Plain
    writes: tuple[Coefficients, ...]
    origins: tuple[Origin, ...] = ()
    gap: Plain | None = None
    most: Plain | None = None

    @property
    def all_reads(self) -> tuple[Coefficients, ...]:
        """Everything it reads."""
        return self.reads

    @property
    def highest(self) -> Plain:
        """The largest possible sum: `most`, or the maximum over the values of the subspaces.

        Raises:
            CircuitError: it reads a scalar, whose range is not known here.
        """
        if self.most is not None:
            return self.most
        return sum((read.highest for read in self.reads), start=0)

    @cached_property
    def at_rest(self) -> Plain:
        """The value of the sum if every dimension is 0: a half for each flag that it reads."""
        flags = (read for read in self.reads if read.subspace.encoding is Encoding.FLAG)
        return Fraction(sum([n for read in flags for _, n in read.entries]), 2)


@short_repr
@dataclass(frozen=True)
class Ramp:
    """A unit that passes a number on where its gate is 1, and writes 0 elsewhere.

    Args:
        name: its name in pictures, errors and explanations of weights.
        reads: the terms of the number, which must not be negative.
        constant: the constant term of the number.
        gate: the terms of the gate, whose sum is 1 where the number passes, and 0 elsewhere.
        gate_constant: the constant term of the gate.
        most: an upper bound of the number.
        writes: the coefficients with which the number is added to the residual stream.
        origins: what it serves.
    """

    name: str
    reads: tuple[Coefficients, ...]
    constant: Plain
    gate: tuple[Coefficients, ...]
    gate_constant: Plain
    most: Plain
    writes: tuple[Coefficients, ...]
    origins: tuple[Origin, ...] = ()

    @property
    def all_reads(self) -> tuple[Coefficients, ...]:
        """Everything it reads."""
        return (*self.reads, *self.gate)
