"""The weights of a model as a regime uses them, and what a block has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handcraft_check.arithmetic.regime import Array, Regime
from handcraft_check.arithmetic.rounding import (
    Bounded,
    as_factor,
)
from handcraft_check.layers.matrix import Ids, Matrix
from handcraft_check.layers.rotary import Rotary
from handcraft_check.layers.scores import Matching
from handcraft_check.layers.zeros import Heads


@dataclass(frozen=True, eq=False)
class Block:
    """The tensors of one block, without what is exactly 0.

    Gain and bias of LayerNorm are known up to an error. `units` are the numbers that hidden units have
    in the file. A block of a Llama has gated units and rotates queries and keys.
    """

    ln_1: tuple[Bounded, Bounded]
    heads: Heads
    ln_2: tuple[Bounded, Bounded]
    c_fc: Matrix
    mlp_out: Matrix
    units: Ids
    gate: Matrix | None = None
    rotary: Rotary | None = None

    @property
    def opening(self) -> Matrix:
        """What decides whether hidden units are on."""
        return self.c_fc if self.gate is None else self.gate

    @cached_property
    def matching(self) -> Matching:
        """How it makes queries and keys."""
        gain, bias = self.ln_1
        heads = self.heads
        return Matching.of(heads.matching, heads.count, heads.terms, gain.center, bias.center)


def weights_in_use(tensor: Array, regime: Regime) -> Bounded:
    """The weights that a model computes with: rounded to the regime's steps, in which it is loaded.

    Those that may be off by the radius are rounded too, and rounding is monotone. Infinite numbers have
    an error that is not finite.
    """
    found, reach = regime.steps.nearest(tensor), regime.radius * np.abs(tensor)
    ends = (regime.steps.nearest(tensor + sign * reach) for sign in (-1, 1))
    with np.errstate(invalid="ignore"):
        low, high = (np.abs(end - found) for end in ends)
    return Bounded(found, np.maximum(low, high))


def matrix_in_use(weight: Bounded, bias: Bounded, regime: Regime) -> Matrix:
    """A matrix, and how far what a product uses may be from it: as its factor, and by the radius."""
    used = as_factor(weight, regime)
    apart = np.abs(used.center - weight.center) + used.error
    return Matrix(
        weight.center,
        bias.center,
        apart if apart.any() else None,
        bias.error if bias.error.any() else None,
    )


def stacked(parts: Sequence[Bounded]) -> Bounded:
    """The rows of all parts, one below the other."""
    return Bounded(np.concatenate([p.center for p in parts]), np.concatenate([p.error for p in parts]))
