"""Neurons: a threshold on a linear function of the residual stream, or the positive part of one."""

from __future__ import annotations

from dataclasses import dataclass

from handcraft.circuits.number import Plain
from handcraft.circuits.subspace import Coefficients
from handcraft.display import short_repr
from handcraft.origin import Origin


@short_repr
@dataclass(frozen=True)
class Neuron:
    """A unit that is 1 where a sum of what it reads reaches a threshold, and 0 elsewhere.

    The sum must be an integer on every input, or else the gap says how far below the threshold it
    stays. How many hidden units of an MLP a neuron takes is the business of the architecture.

    Args:
        name: what pictures, errors and weights call it.
        reads: what is added up.
        at_least: the threshold.
        writes: what is added to the residual stream where the threshold is reached.
        origins: what it serves.
        gap: how far below the threshold the sum is at least where it does not reach it; None for
            sums that are integers.
        most: no sum is larger, where more is known than the values of the subspaces tell.
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
        """The largest sum that there can be: `most`, or what any values of the subspaces give.

        Raises:
            CircuitError: it reads a scalar, whose range is not known here.
        """
        if self.most is not None:
            return self.most
        return sum((read.highest for read in self.reads), start=0)


@short_repr
@dataclass(frozen=True)
class Ramp:
    """A unit that passes a number on where its gate is 1, and nothing elsewhere.

    Args:
        name: what pictures, errors and weights call it.
        reads: what is added up to the number, which must not be negative.
        constant: what is added to it.
        gate: what is added up to 1 where the number passes, and to 0 elsewhere.
        gate_constant: what is added to that.
        most: no number is larger.
        writes: what the number is multiplied with, and added to the residual stream.
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
