"""Exact numbers: nothing is rounded before weights are emitted."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from handcraft.circuits import exact
from handcraft.circuits.number import evaluate
from handcraft.errors import CircuitError

PROGRAMS = Path(__file__).parents[3] / "programs"
L = sympy.Symbol("L", positive=True)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (-3, -3),
        (True, 1),
        (2**80, 2**80),
        (3.0, 3),
        (0.5, Fraction(1, 2)),
        (-0.0, 0),
        (0.1, Fraction(3602879701896397, 36028797018963968)),
        (Fraction(1, 3), Fraction(1, 3)),
        (Fraction(6, 3), 2),
        (np.float32(0.25), Fraction(1, 4)),
        (np.float64(2.0), 2),
        (np.int64(7), 7),
        (sympy.Integer(5), 5),
        (sympy.Rational(1, 3), Fraction(1, 3)),
        (sympy.Rational(4, 2), 2),
        (sympy.Float(0.5), Fraction(1, 2)),
        (L - L, 0),
    ],
)
def test_what_has_a_plain_value_becomes_plain(value, number):
    got = exact(value)
    assert got == number
    assert type(got) is type(number)


@pytest.mark.parametrize("value", [L, 2 * L + 1, sympy.sqrt(2), sympy.pi])
def test_an_expression_stays_symbolic(value):
    assert exact(value) is value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_the_fraction_it_is_to_the_last_bit(value):
    number = exact(value)
    assert Fraction(number) == Fraction(value)
    assert type(number) is int or number.denominator > 1


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "7", None, 1j, Decimal(1), sympy.oo, sympy.nan, sympy.zoo, [1]],
)
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(CircuitError):
        exact(value)


@pytest.mark.parametrize("value", [sympy.true, sympy.Matrix([1]), L > 1])
def test_a_sympy_object_that_is_no_number_is_refused(value):
    with pytest.raises(CircuitError):
        exact(value)


@pytest.mark.parametrize("value", [np.int64(2**53 + 1), sympy.Float(str(2**53 + 1), 30)])
def test_a_number_wider_than_a_float_is_not_rounded(value):
    assert exact(value) == 2**53 + 1


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3), (Fraction(1, 3), Fraction(1, 3)), (2 * L + 1, 17), (L / 3, Fraction(8, 3)), (L**2, 64)],
)
def test_an_expression_has_a_value_once_its_symbols_have(value, number):
    assert evaluate(value, {"L": 8}) == number


def test_a_fraction_can_be_the_value_of_a_symbol():
    assert evaluate(3 * L, {"L": Fraction(1, 3)}) == 1


def test_a_symbol_without_a_value_is_named():
    with pytest.raises(CircuitError, match="the symbol L has no value") as caught:
        evaluate(L + sympy.Symbol("M"), {"M": 1})
    assert "values={'L': 1024}" in caught.value.fix


def test_an_expression_that_comes_to_no_rational_number_is_refused():
    with pytest.raises(CircuitError, match="not a rational number"):
        evaluate(sympy.sqrt(L), {"L": 2})


def test_a_plain_program_is_compiled_run_and_read_without_sympy(tmp_path):
    code = (
        "import runpy, sys\n"
        "from handcraft import compile_program\n"
        "compiled = compile_program(runpy.run_path(sys.argv[1])['program'])\n"
        "assert compiled.complete('aab', 3) == 'aab'\n"
        "compiled.trace('aab')\n"
        "assert 'sympy' not in sys.modules, 'sympy was imported'\n"
    )
    file = str(PROGRAMS / "aab.py")
    done = subprocess.run(
        [sys.executable, "-c", code, file], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
