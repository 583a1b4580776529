"""What the numbers of a dtype can tell apart, where activations are rounded to it too."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from handcraft.errors import PrecisionError
from handcraft.language.sequences.domain import Plain
from handcraft.language.sequences.node import Node

BITS = {"float64": 24, "float32": 24, "float16": 11, "bfloat16": 8}
"""The digits of a number, the first one included; float64 is not asked for more than float32 gives."""


NOISE = Fraction(1, 1 << 16)
"""What LayerNorm adds to a number in float32, where a ballast of 1024 dominates: about 1e-5."""


@dataclass(frozen=True)
class Precision:
    """The limits that a dtype sets.

    Args:
        dtype: its name.
        normed: whether LayerNorm stands before everything that is read.
    """

    dtype: str
    normed: bool = False

    @property
    def whole(self) -> int:
        """All whole numbers up to it are exact."""
        return 1 << BITS[self.dtype]

    @property
    def steady(self) -> int:
        """How much larger than its gap an attention score may be."""
        return 1 << (BITS[self.dtype] - (6 if BITS[self.dtype] > 16 else 1))

    @property
    def steps(self) -> int:
        """How much larger than its gap the sum that a neuron reads may be."""
        return 1 << (BITS[self.dtype] - 2)

    def check_sum(self, node: Node, size: Plain, gap: Plain) -> None:
        """Raise unless a neuron tells its sums apart.

        Args:
            node: what the neuron serves.
            size: the largest sum of absolute terms.
            gap: the smallest difference that counts.

        Raises:
            PrecisionError: the sum is too large for its gap.
        """
        if size > gap * self.steps:
            raise PrecisionError(
                f"`{node}` hangs on differences of {_shown(gap)} in sums of up to {_shown(size)}, and "
                f"{self.dtype} tells 1 part in {self.steps:,}",
                where=node.place,
                fix=self._wider("a shorter context, or .assume() fewer values"),
            )

    def check_noise(self, node: Node, weight: Plain, gap: Plain) -> None:
        """Raise unless a neuron tells its sums apart in spite of what LayerNorm adds to each number.

        Args:
            node: what the neuron serves.
            weight: the sum of the factors of what it reads, without their signs.
            gap: the smallest difference that counts.

        Raises:
            PrecisionError: the difference is too small.
        """
        if self.normed and gap < 8 * NOISE * weight:
            raise PrecisionError(
                f"`{node}` hangs on differences of {_shown(gap)}, and LayerNorm leaves numbers "
                f"uncertain by up to {_shown(NOISE * weight)}",
                where=node.place,
                fix="a shorter context, .assume() fewer values, or the architecture block",
            )

    def check_score(self, node: Node, size: Plain, gap: Plain) -> None:
        """Raise unless a head tells its scores apart.

        Raises:
            PrecisionError: the scores are too large for their gap.
        """
        if size > gap * self.steady:
            raise PrecisionError(
                f"the head of `{node}` hangs on differences of {_shown(gap)} in scores of up to "
                f"{_shown(size)}, and {self.dtype} tells 1 part in {self.steady:,}",
                where=node.place,
                fix=self._wider("a shorter context, or .assume() fewer values"),
            )

    def _wider(self, other: str) -> str:
        return f"float32, or {other}" if self.dtype in ("float16", "bfloat16") else other


def _shown(number: Plain) -> str:
    return f"{float(Fraction(number)):g}"
