"""Everything that is decided before circuits are built, and the error bound of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from handcraft.compiler.features.precision import NOISE
from handcraft.compiler.ordinal.approximate_sum import ApproximateSum, step_layers
from handcraft.compiler.ordinal.circle import Circle
from handcraft.compiler.ordinal.codes import Line
from handcraft.compiler.ordinal.share import Group
from handcraft.compiler.passes.ir import StepFunction, WeightedSum
from handcraft.dtype import DType
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.weights.layout import BALLAST

ECHO = Fraction(1, 32)
"""The largest error of an answer due to the echo of the input token."""

SMALLEST_SCALE = 1024
"""Half a unit less the error bound is then over 104 nats: wrong tokens get no probability."""

APART = 32
"""By how many nats the sources of a pattern by single positions lead all others."""


@dataclass(frozen=True)
class Design:
    """Everything that is decided before circuits are built.

    Args:
        answer: what is predicted, as a number.
        line: the number of every token.
        groups: which weighted sums and steps share a dimension.
        dtype: of the weights.
        circle: the angles of positions, if they lie on a circle.
        has_norm: whether the target has LayerNorm. Numbers must stay small then, so the input token's
            own codeword is subtracted, not outweighed.
    """

    answer: ApproximateSum
    line: Line
    groups: tuple[Group, ...]
    dtype: DType
    circle: Circle | None = None
    has_norm: bool = False

    @property
    def context(self) -> int:
        """The number of positions."""
        return len(self.answer.constants)

    @property
    def steps(self) -> dict[StepFunction, int]:
        """All steps, each after those that it reads, with how many come before it."""
        return step_layers(self.answer.terms)

    @cached_property
    def brought(self) -> list[tuple[WeightedSum, Plain]]:
        """The weighted sums of all groups, each with its factor."""
        parts = [part for group in self.groups for part in group.parts]
        return [(node, factor) for node, factor in parts if isinstance(node, WeightedSum)]

    @cached_property
    def weighted(self) -> list[WeightedSum]:
        """What heads compute for the weighted sums: the same with positive weights."""
        return [
            node.times(factor if node.is_positive == (factor > 0) else -factor)
            for node, factor in self.brought
        ]

    @property
    def weights(self) -> list[Plain]:
        """The largest sum of weights, for each of them."""
        return [max(sum(w for _, w in row) for _, row in node.rows) for node in self.weighted]

    @property
    def reach(self) -> Plain:
        """The largest absolute number of the line."""
        return max(abs(n) for n in self.line.numbers)

    @property
    def deepest(self) -> Fraction:
        """The largest absolute second number of a codeword."""
        return -min(self.line.squares)

    @property
    def scale(self) -> int:
        """By what the answer is multiplied, so that the input token's echo is at most `ECHO` of it."""
        if self.has_norm:
            return 1
        echo = self.reach + self.reach * self.deepest
        scale = SMALLEST_SCALE
        while echo > ECHO * scale:
            scale *= 2
        return scale

    @property
    def noise(self) -> float:
        """The relative difference between the scales that LayerNorm gives two sources."""
        if not self.has_norm:
            return 0.0
        pairs = zip(self.line.numbers, self.line.squares, strict=True)
        words = [(float(number), float(square)) for number, square in pairs]
        balanced = [n * n + s * s + 1 + (abs(n) + abs(s) + 2) ** 2 for n, s in words]
        return max(balanced) / (4 * BALLAST**2) + 2 * float(NOISE)

    @cached_property
    def misses(self) -> list[float]:
        """For each weighted sum, the largest amount of attention on wrong sources."""
        return [*self.circle.missed] if self.circle else [*map(self.astray, self.weighted)]

    @property
    def missed(self) -> Fraction:
        """The error of the answer due to attention: what one source gets too much, another lacks."""
        width = Fraction(max(self.line.numbers) - min(self.line.numbers)) / 2
        read = Fraction(self.noise) * self.reach
        pairs = zip(self.misses, self.weights, strict=True)
        return sum((w * (Fraction(m) * width + read) for m, w in pairs), start=Fraction(0))

    def astray(self, node: WeightedSum) -> float:
        """The attention that a pattern by single positions misses: none if it is exactly hard."""
        if node.is_single:
            return 0.0
        return float(np.expm1(APART * (2 * float(self.dtype.unit) + self.noise)))

    @property
    def steadiness(self) -> Fraction:
        """The relative error, due to LayerNorm, of the sum that a step reads."""
        if not self.has_norm:
            return self.dtype.unit
        largest = self.reach + sum((w * self.reach for w in self.weights), start=Fraction(0))
        return self.dtype.unit + NOISE + Fraction(largest * largest) / BALLAST**2

    def blur(self, step: StepFunction) -> Fraction:
        """The error of a step due to rounding.

        A step is the difference of two hidden units. Each is as large as the sum is above its
        threshold, and is rounded, as is its bias.
        """
        (threshold,) = step.thresholds
        if threshold.gap <= 0:
            return Fraction(1)
        domains = [(factor, node.domain) for factor, node in threshold.terms]
        highest = sum(max(f * domain.low, f * domain.high) for f, domain in domains)
        lowest = sum(min(f * domain.low, f * domain.high) for f, domain in domains)
        farthest = max(highest - threshold.at_least, threshold.at_least - lowest)
        return 4 * self.dtype.unit * (Fraction(farthest) / threshold.gap + 1)

    @property
    def rounding(self) -> Fraction:
        """The error of the answer due to rounding."""
        terms = self.answer.terms.items()
        domains = [(factor, node.domain) for node, factor in terms]
        stored = sum(magnitude(f) * max(magnitude(d.low), magnitude(d.high)) for f, d in domains)
        steps = [magnitude(f) * self.blur(node) for node, f in terms if isinstance(node, StepFunction)]
        return sum(steps, start=4 * self.dtype.unit * max(Fraction(stored), Fraction(self.reach)))

    @property
    def off(self) -> Fraction:
        """The error bound of the answer."""
        low, high = self.answer.off
        return Fraction(high - low) / 2 + (0 if self.has_norm else ECHO) + self.missed
