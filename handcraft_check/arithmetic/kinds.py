"""What NumPy does with float64 arrays only, for them and for arrays of `Exact` numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.exact import BITS, Exact

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


def is_exact(x: Array) -> bool:
    """Whether an array has exact numbers."""
    return x.dtype == object


def each(x: Array, what: Callable[[Any], Any]) -> Array:
    """A function of each exact number; what is infinite stays a float."""
    found = np.empty(x.shape, dtype=object)
    for place, number in np.ndenumerate(x):
        found[place] = what(Exact.of(number))
    return found


def floats(x: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The nearest floats."""
    given = np.asarray(x)
    if not is_exact(given):
        return np.asarray(given, dtype=np.float64)
    listed = [float(n.fraction) if isinstance(n, Exact) else float(n) for n in given.ravel()]
    return np.array(listed, dtype=np.float64).reshape(given.shape)


def is_finite(x: Array) -> Flags:
    """Which numbers are finite."""
    if not is_exact(x):
        return np.isfinite(x)
    return np.isfinite(floats(x))


def sqrt(x: Array) -> Array:
    """The square root."""
    return each(x, lambda n: n.sqrt() if isinstance(n, Exact) else n) if is_exact(x) else np.sqrt(x)


def exp(x: Array) -> Array:
    """The exponential."""
    if not is_exact(x):
        return np.exp(x)
    return each(x, lambda n: n.exp() if isinstance(n, Exact) else (n if n > 0 else Exact(0)))


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    if not is_exact(x):
        return np.tanh(x)
    return each(x, lambda n: n.tanh() if isinstance(n, Exact) else np.sign(n))


def outwards(x: Array, to: float) -> Array:
    """The next float64 in a direction, for what float64 has rounded; exact numbers as they are."""
    return x if is_exact(x) else np.nextafter(x, to)


def is_power_of_two(x: Array) -> Flags:
    """Which numbers are powers of two, up to their sign."""
    return np.asarray(np.abs(np.frexp(floats(x))[0]) == 0.5)


def power_above(x: Array) -> Array:
    """The least powers of two that are not below positive numbers."""
    if not is_exact(x):
        return np.exp2(np.ceil(np.log2(x)))
    return each(x, lambda n: Exact(1 << (n.units - 1).bit_length()) if isinstance(n, Exact) else n)


def rint(x: Array) -> Array:
    """The nearest whole numbers, even where two are."""
    return each(x, lambda n: n.rounded(BITS)) if is_exact(x) else np.rint(x)


def ceil(x: Array) -> Array:
    """The least whole numbers that are not below."""
    if not is_exact(x):
        return np.ceil(x)
    return each(x, lambda n: Exact(-((-n.units) >> BITS) << BITS))


def codes(x: Array) -> npt.NDArray[np.uint64]:
    """Whole numbers that are equal where numbers are, bit by bit; of exact ones, in their order."""
    if not is_exact(x):
        return np.ascontiguousarray(x).view(np.uint64)
    listed = [_key(number) for number in x.ravel()]
    places = {number: place for place, number in enumerate(sorted(set(listed)))}
    return np.array([places[number] for number in listed], dtype=np.uint64).reshape(x.shape)


def key(x: Array) -> Hashable:
    """Equal where arrays of one shape are equal, bit by bit."""
    return tuple(map(_key, x.ravel())) if is_exact(x) else x.tobytes()


def _key(number: Any) -> int | float:
    found = Exact.of(number)
    return found.units if isinstance(found, Exact) else found
