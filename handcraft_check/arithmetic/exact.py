"""Numbers that are multiples of 2^-512: sums of them are exact.

Products, quotients and roots are off by a unit at most, and exponentials by a share of 2^-500.

The checker computes in float64, and its bounds leave room for what float64 rounds. Arrays of these
numbers take the place of float64 arrays in the same functions, so that each lemma is computed once more
where next to nothing is rounded. What is infinite stays a float; what is not a number is an error.

NumPy computes arrays of objects with the operators and methods of the objects.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

BITS = 512
"""Numbers are multiples of 2^-BITS."""

ONE = 1 << BITS

MORE = 64
"""How many bits more a series has while it is summed."""


class NotANumberError(Exception):
    """A bound is not a number: nothing is known any more."""


class Exact:
    """One number.

    Args:
        units: how many units of 2^-BITS it is.
    """

    __slots__ = ("units",)

    def __init__(self, units: int) -> None:
        self.units = units

    @classmethod
    def of(cls, number: Any) -> Exact | float:
        """The nearest one; itself where it is infinite.

        Raises:
            NotANumberError: it is not a number.
        """
        if isinstance(number, Exact):
            return number
        if isinstance(number, bool | int | np.integer | np.bool_):
            return cls(int(number) << BITS)
        found = float(number)
        if math.isnan(found):
            raise NotANumberError
        if math.isinf(found):
            return found
        top, bottom = found.as_integer_ratio()
        return cls(_ratio(top << BITS, bottom))

    @property
    def fraction(self) -> Fraction:
        """The number."""
        return Fraction(self.units, ONE)

    def __repr__(self) -> str:
        return f"Exact({float(self.fraction)!r})"

    def __hash__(self) -> int:
        return hash(self.units)

    def __bool__(self) -> bool:
        return self.units != 0

    def __neg__(self) -> Exact:
        return Exact(-self.units)

    def __abs__(self) -> Exact:
        return Exact(abs(self.units))

    def __add__(self, other: Any) -> Exact | float:
        added = Exact.of(other)
        return Exact(self.units + added.units) if isinstance(added, Exact) else added

    __radd__ = __add__

    def __sub__(self, other: Any) -> Exact | float:
        less = Exact.of(other)
        return Exact(self.units - less.units) if isinstance(less, Exact) else -less

    def __rsub__(self, other: Any) -> Exact | float:
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> Exact | float:
        factor = Exact.of(other)
        if isinstance(factor, Exact):
            return Exact((self.units * factor.units + (ONE >> 1)) >> BITS)
        if not self.units:
            raise NotANumberError
        return factor if self.units > 0 else -factor

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Exact | float:
        below = Exact.of(other)
        if not isinstance(below, Exact):
            return Exact(0)
        if not below.units:
            if not self.units:
                raise NotANumberError
            return math.copysign(math.inf, self.units)
        return Exact(_ratio(self.units << BITS, below.units))

    def __rtruediv__(self, other: Any) -> Exact | float:
        above = Exact.of(other)
        if isinstance(above, Exact):
            return above / self
        return above if self.units > 0 else -above

    def __pow__(self, power: float) -> Exact | float:
        if power == 2:
            return self * self
        assert power == 2.5, power
        return self * self * self.sqrt() if self.units >= 0 else math.inf

    def __eq__(self, other: object) -> bool:
        other = Exact.of(other)
        return isinstance(other, Exact) and self.units == other.units

    def __lt__(self, other: Any) -> bool:
        other = Exact.of(other)
        return self.units < other.units if isinstance(other, Exact) else other > 0

    def __le__(self, other: Any) -> bool:
        other = Exact.of(other)
        return self.units <= other.units if isinstance(other, Exact) else other > 0

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def conjugate(self) -> Exact:
        """Itself: `np.square` and products ask for it."""
        return self

    def sqrt(self) -> Exact:
        """The square root, rounded down.

        Raises:
            NotANumberError: there is none.
        """
        if self.units < 0:
            raise NotANumberError
        return Exact(math.isqrt(self.units << BITS))

    def rounded(self, bits: int) -> Exact:
        """The nearest multiple of 2^bits units, an even one where two are."""
        whole, rest = divmod(self.units, 1 << bits)
        half = 1 << bits >> 1
        whole += rest > half or (rest == half and whole % 2)
        return Exact(whole << bits)

    def exp(self) -> Exact:
        """The exponential, as 2^k times that of a rest below 0.4, which is a power series."""
        halves = (2 * self.units) // _log_of_two()
        power = (halves + 1) // 2
        rest = (self.units - power * _log_of_two()) << MORE
        one = ONE << MORE
        total, term, place = one, one, 0
        while term:
            place += 1
            term = _ratio(term * rest >> (BITS + MORE), place)
            total += term
        shift = power - MORE
        return Exact(total << shift if shift >= 0 else total >> -shift)

    def tanh(self) -> Exact | float:
        """The hyperbolic tangent."""
        if abs(self.units) > BITS * ONE:
            return Exact(ONE if self.units > 0 else -ONE)
        twice = Exact(2 * self.units).exp()
        return (twice - 1) / (twice + 1)


def exactly(numbers: npt.ArrayLike) -> npt.NDArray[Any]:
    """An array of floats as an array of these numbers."""
    given = np.asarray(numbers)
    found = np.empty(given.shape, dtype=object)
    for place, number in np.ndenumerate(given):
        found[place] = Exact.of(number)
    return found


def nearest_floats(numbers: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """An array of floats or of these numbers as floats, each the nearest one."""
    if numbers.dtype != object:
        return np.asarray(numbers, dtype=np.float64)
    floats = [float(n.fraction) if isinstance(n, Exact) else float(n) for n in numbers.ravel()]
    return np.array(floats, dtype=np.float64).reshape(numbers.shape)


def _ratio(top: int, bottom: int) -> int:
    """The nearest whole number to a quotient."""
    return (2 * top + bottom) // (2 * bottom)


@cache
def _log_of_two() -> int:
    """The logarithm of 2, from 2 atanh(1/3) = 2 sum of 3^-(2k+1) / (2k+1)."""
    total, power, place = 0, (2 << (BITS + MORE)) // 3, 1
    while power:
        total += power // place
        power, place = power // 9, place + 2
    return total >> MORE
