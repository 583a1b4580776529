"""Exact numbers: integers, fractions, and symbols that stand for either until weights are emitted."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, NewType, TypeAlias, cast

from handcraft.errors import CircuitError

if TYPE_CHECKING:
    import sympy

    Number: TypeAlias = int | Fraction | sympy.Expr
else:  # sympy is imported only where a symbol is used
    Number = NewType("Number", object)

Plain: TypeAlias = int | Fraction


def exact(value: object) -> Number:
    """`value` as an exact number; plain integers and fractions stay plain.

    A float becomes the fraction that it is to the last bit. A sympy expression stays symbolic unless
    it is a rational number.

    Raises:
        CircuitError: the value is not a finite number.

    >>> exact(0.5), exact(3.0), exact(7)
    (Fraction(1, 2), 3, 7)
    """
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Fraction):
        return plainest(value)
    if type(value).__module__.partition(".")[0] == "sympy":
        return _from_sympy(cast("sympy.Expr", value))
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        try:
            return plainest(Fraction(float(value)))
        except (ValueError, OverflowError):
            pass
    raise CircuitError(
        f"{value!r} is not an exact number",
        fix="use an integer, a fraction, a finite float or a sympy expression",
    )


def evaluate(value: Number, values: Mapping[str, Plain]) -> Plain:
    """The plain number that `value` is once every symbol has its value."""
    if type(value) is int or isinstance(value, int | Fraction):
        return value
    missing = sorted(s.name for s in value.free_symbols if s.name not in values)
    if missing:
        raise CircuitError(
            f"the symbol {missing[0]} has no value",
            where=value,
            fix=f"give it one, as in values={{{missing[0]!r}: 1024}}",
        )
    result = exact(value.subs({s: values[s.name] for s in value.free_symbols}))
    if not isinstance(result, int | Fraction):
        raise CircuitError(f"{value} is {result}, which is not a rational number", where=value)
    return result


def plainest(value: Fraction) -> Plain:
    """The same number, as an integer where it is one."""
    return value.numerator if value.denominator == 1 else value


def _from_sympy(value: sympy.Expr) -> Number:
    import sympy

    if isinstance(value, sympy.Rational) and value.is_finite:
        return plainest(Fraction(int(value.p), int(value.q)))
    if isinstance(value, sympy.Float) and value.is_finite:
        return _from_sympy(sympy.Rational(value))
    if not isinstance(value, sympy.Expr) or (value.is_number and not value.is_finite):
        raise CircuitError(
            f"{value} is not a finite number",
            fix="use an integer, a fraction, a finite float or a sympy expression",
        )
    return value
