"""Subspaces: how many dimensions a value takes, and what they hold."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft.circuits import Coefficients, bias, flag, one_hot, scalar, signed_bits, sinusoidal
from handcraft.circuits.subspace import Encoding
from handcraft.errors import CircuitError, EncodingError

TOKEN = one_hot("token", "abc")


def test_a_one_hot_subspace_has_a_dimension_per_value():
    assert TOKEN.width == 3
    assert TOKEN.dimension_names == ("token a", "token b", "token c")
    assert [TOKEN.codeword(value) for value in "abc"] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


def test_signed_bits_hold_the_index_with_the_most_significant_bit_first():
    bits = signed_bits("position", range(5))
    assert bits.dimension_names == ("position bit 2", "position bit 1", "position bit 0")
    assert [bits.codeword(i) for i in range(5)] == [
        (-1, -1, -1),
        (-1, -1, 1),
        (-1, 1, -1),
        (-1, 1, 1),
        (1, -1, -1),
    ]


@pytest.mark.parametrize(
    ("count", "width"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (1000, 10), (1024, 10), (1025, 11)]
)
def test_signed_bits_take_as_many_dimensions_as_the_indices_have_bits(count, width):
    assert signed_bits("position", range(count)).width == width


@given(st.integers(1, 300), st.data())
def test_different_values_have_different_codewords(count, data):
    bits = signed_bits("position", range(count))
    i, j = data.draw(st.tuples(*[st.integers(0, count - 1)] * 2))
    inner = sum(a * b for a, b in zip(bits.codeword(i), bits.codeword(j), strict=True))
    assert inner == bits.width if i == j else inner <= bits.width - 2


def test_waves_are_cosines_and_sines_of_the_index():
    waves = sinusoidal("position", range(5))
    assert waves.dimension_names[:2] == ("position cos 4", "position sin 4")
    assert [float(n) for n in waves.codeword(0)] == [1, 0, 1, 0]
    assert [float(n) for n in waves.codeword(1)][:2] == pytest.approx([0, 1])
    assert [float(n) for n in waves.codeword(2)] == pytest.approx([-1, 0, 0.5**0.5, 0.5**0.5])


@pytest.mark.parametrize("count", [1, 2, 3, 9, 33, 200])
def test_waves_of_different_values_meet_at_least_1_less_than_equal_ones(count):
    waves = sinusoidal("position", range(count))
    words = np.array([[float(n) for n in waves.codeword(i)] for i in range(count)])
    inner = words @ words.T
    assert np.diag(inner) == pytest.approx(waves.width / 2)
    others = inner - 2 * waves.width * np.eye(count)
    assert others.max() <= waves.width / 2 - 1 + 1e-9
    assert waves.width == 2 or 4 ** (waves.width // 2 - 1) < 2 * count, "a wave more than needed"


def test_a_flag_is_1_where_it_holds():
    holds = flag("holds")
    assert (holds.width, holds.dimension_names) == (1, ("holds",))
    assert [holds.codeword(value) for value in (False, True)] == [(0,), (1,)]


def test_a_scalar_takes_one_dimension_and_has_no_codewords():
    scratch = scalar("scratch")
    assert (scratch.width, scratch.dimension_names) == (1, ("scratch",))
    with pytest.raises(EncodingError, match="cannot encode 1") as caught:
        scratch.codeword(1)
    assert caught.value.fix == "it is a scalar"


def test_a_value_that_a_subspace_cannot_hold_is_named_with_those_it_can():
    with pytest.raises(EncodingError, match="`token` cannot encode 'x'") as caught:
        TOKEN.index("x")
    assert "a b c" in caught.value.fix


@pytest.mark.parametrize("make", [one_hot, signed_bits])
@pytest.mark.parametrize("values", [(), "aa", (1, True)])
def test_values_are_at_least_one_and_each_once(make, values):
    with pytest.raises(CircuitError, match="the values of `x` are"):
        make("x", values)


def test_subspaces_of_one_name_but_other_values_are_not_equal():
    assert one_hot("token", "ab") == one_hot("token", "ab")
    assert one_hot("token", "ab") != one_hot("token", "abc")
    assert one_hot("token", "ab") != signed_bits("token", "ab")
    assert signed_bits("token", "ab").encoding is Encoding.SIGNED_BITS


def test_coefficients_are_in_the_order_of_dimensions_and_leave_zeros_out():
    found = Coefficients.per_value(TOKEN, {"c": 2, "a": 0.5, "b": 0})
    assert found.entries == ((0, Fraction(1, 2)), (2, 2))


def test_a_scalar_takes_one_number():
    assert Coefficients.per_value(scalar("x"), 3).entries == ((0, 3),)
    assert Coefficients.per_value(scalar("x"), 0).entries == ()


@pytest.mark.parametrize(
    ("subspace", "numbers"),
    [
        (signed_bits("position", range(4)), {0: 1}),
        (flag("holds"), {True: 1}),
        (scalar("x"), {0: 1}),
        (TOKEN, 3),
    ],
)
def test_a_number_per_value_needs_a_one_hot_subspace(subspace, numbers):
    with pytest.raises(EncodingError, match=f"`{subspace.name}` is encoded as"):
        Coefficients.per_value(subspace, numbers)


def test_a_coefficient_of_an_unknown_value_is_refused():
    with pytest.raises(EncodingError, match="cannot encode 'x'"):
        bias(TOKEN, {"x": 1})


def test_a_coefficient_that_is_no_number_is_refused():
    with pytest.raises(CircuitError, match="'much' is not an exact number"):
        bias(TOKEN, {"a": "much"})
