"""In which numbers a model computes: the formats of its weights and of what its steps round to.

Sums are made in float32 or wider in every regime. Source: IEEE 754-2019, sections 3.3 (formats) and
4.3 (round to nearest).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.block_formats import BLOCK_FORMATS
from handcraft_check.arithmetic.exact import BITS, Exact
from handcraft_check.arithmetic.kinds import each, is_exact
from handcraft_check.errors import CheckError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Args:
        name: as config.json and torch call it.
        digits: how many binary digits a number has, the first one included.
        exponent: that of the largest power of two; the least normal number is 2^(1 - exponent).
    """

    name: str
    digits: int
    exponent: int

    @property
    def unit(self) -> float:
        """The relative error of one rounding, and more than that of the checker's float64 besides."""
        return 2.0**-self.digits * (1 + 2.0**-20)

    @property
    def tiny(self) -> float:
        """The least normal number: the absolute error of a rounding that underflows, even to 0."""
        return 2.0 ** (1 - self.exponent)

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2 - 2.0 ** (1 - self.digits)) * 2.0**self.exponent

    def nearest(self, x: Array) -> Array:
        """The nearest number of the format, even where two are; infinite beyond the largest."""
        if is_exact(x):
            return each(x, self._nearest)
        if self.name == "float32":  # as below, and faster
            with np.errstate(over="ignore"):
                return np.asarray(x.astype(np.float32).astype(np.float64))
        _, power = np.frexp(x)
        step = np.ldexp(1.0, np.maximum(power, 2 - self.exponent) - self.digits)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite numbers stay as they are
            found = np.where(np.isfinite(x), np.rint(x / step) * step, x)
        return np.where(np.abs(found) > self.largest, np.copysign(np.inf, found), found)

    def _nearest(self, x: Exact | float) -> Exact | float:
        """The same of one exact number."""
        if not isinstance(x, Exact):
            return x
        power = max(abs(x.units).bit_length() - BITS, 2 - self.exponent)
        found = x.rounded(power - self.digits + BITS)
        return found if abs(found) <= self.largest else math.copysign(math.inf, found.units)

    def outward(self, low: Array, high: Array) -> tuple[Array, Array]:
        """The nearest numbers of the format below `low` and above `high`."""
        return -self._above(-low), self._above(high)

    def inward(self, low: Array, high: Array) -> tuple[Array, Array]:
        """The least and the largest number of the format between `low` and `high`."""
        return self._above(low), -self._above(-high)

    def _above(self, x: Array) -> Array:
        _, power = np.frexp(x)
        step = np.ldexp(1.0, np.maximum(power, 2 - self.exponent) - self.digits)
        with np.errstate(invalid="ignore", over="ignore"):
            found = np.where(np.isfinite(x), np.ceil(x / step) * step, x)
        return np.where(found > self.largest, np.inf, found)


FLOAT32 = Format("float32", 24, 127)
BFLOAT16 = Format("bfloat16", 8, 127)
FLOAT16 = Format("float16", 11, 15)
TF32 = Format("tf32", 11, 127)


@dataclass(frozen=True)
class Regime:
    """The arithmetic in which something is proved.

    Args:
        name: in certificates, verdicts and on the command line.
        words: what it says of the steps.
        steps: what the result of every step is rounded to, and the weights before.
        factors: what the factors of matrix products are rounded to, up or down; None for `steps`.
        attention: of what transformers computes in few digits, "eager" or "sdpa"; empty for whichever.
        radius: how far every weight may be from what the file says, relatively.
        blocks: the format of GGUF that stores the matrices; empty for none.
    """

    name: str
    words: str
    steps: Format
    factors: Format | None = None
    attention: str = ""
    radius: float = 0.0
    blocks: str = ""

    @property
    def is_half(self) -> bool:
        """Whether steps are rounded to fewer digits than sums are made in."""
        return self.steps is not FLOAT32

    @property
    def is_known(self) -> bool:
        """Whether the weights are known exactly, and products take them as they are."""
        return self.factors is None and not self.radius

    @property
    def is_float32(self) -> bool:
        """Whether every step is in float32 and the weights are known exactly."""
        return not self.is_half and self.is_known

    @property
    def each(self) -> tuple[Regime, ...]:
        """One for each attention of transformers: what holds in all of them holds in this."""
        if not self.is_half:
            return (self,)
        return tuple(replace(self, attention=each) for each in ("eager", "sdpa"))

    def __str__(self) -> str:
        return self.words + (f", all weights off by up to {self.radius:g}" if self.radius else "")


IN_FLOAT32 = Regime("float32", "every step in float32, none in TF32", FLOAT32)

_ROUNDED = (
    "weights and every step rounded to {}, a product with its bias once, in eager and in sdpa attention"
)

_IN_BLOCKS = (
    "matrices stored as {} and read as float32, every step in float32, none in TF32 or in integers"
)

REGIMES = {
    regime.name: regime
    for regime in (
        IN_FLOAT32,
        *(Regime(each.name, _ROUNDED.format(each.name), each) for each in (BFLOAT16, FLOAT16)),
        Regime("tf32", "every step in float32, factors of products in TF32", FLOAT32, TF32),
        *(
            Regime(each, _IN_BLOCKS.format(each.upper()), FLOAT32, blocks=each)
            for each in BLOCK_FORMATS
        ),
    )
}
"""What can be proved, by name."""


def regime_named(name: object, where: object) -> Regime:
    """The regime of a name.

    Raises:
        CheckError: there is none.
    """
    if not isinstance(name, str) or name not in REGIMES:
        fix = f"use one of: {', '.join(REGIMES)}"
        raise CheckError(f"steps in {name!r} are not checked", where, fix)
    return REGIMES[name]
