"""Neurons: a threshold that is met or not, and the largest sum it can see."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Symbol

from handcraft.circuits import (
    Coefficients,
    Neuron,
    coded,
    flag,
    one_hot,
    scalar,
    signed_bits,
    sinusoidal,
)
from handcraft.circuits.exact_array import ExactArray
from handcraft.circuits.ideal import neuron_outputs
from handcraft.errors import CircuitError

TOKEN = one_hot("token", "abc")
BITS = signed_bits("bits", range(4))
POINTS = coded("points", {"o": (0, 0), "p": (3, 1), "q": (-2, 4)}, dimensions="xy")
HALVES = coded("halves", {"o": (0,), "p": (Fraction(1, 2),)}, dimensions="x")
HOLDS = flag("holds")


def neuron(*reads: Coefficients, at_least: int = 1) -> Neuron:
    return Neuron("neuron", reads, at_least, ())


def fires(unit: Neuron, **values) -> int:
    """Whether the unit fires where its subspaces hold `values`."""
    stream = {
        read.subspace: ExactArray.of([read.subspace.codeword(values[read.subspace.name])])
        for read in unit.reads
    }
    ((outputs, _),) = neuron_outputs([unit], stream)
    return int(outputs.plain.item())


@pytest.mark.parametrize(
    ("token", "holds", "fired"),
    [("a", False, 0), ("b", False, 0), ("c", False, 1), ("a", True, 0), ("b", True, 1), ("c", True, 1)],
)
def test_a_neuron_output_where_the_sum_reaches_its_threshold(token, holds, fired):
    unit = neuron(
        Coefficients.per_value(TOKEN, {"a": -1, "b": 1, "c": 3}),
        Coefficients(HOLDS, ((0, 1),)),
        at_least=2,
    )
    assert fires(unit, token=token, holds=holds) == fired


def test_a_sum_one_below_the_threshold_does_not_reach_it():
    reads = Coefficients.per_value(TOKEN, {"a": 4})
    assert fires(neuron(reads, at_least=4), token="a") == 1
    assert fires(neuron(reads, at_least=5), token="a") == 0


@pytest.mark.parametrize(("at_least", "fired"), [(0, 1), (1, 0)])
def test_a_neuron_that_reads_nothing_compares_0(at_least, fired):
    ((outputs, _),) = neuron_outputs([neuron(at_least=at_least)], {})
    assert outputs.plain.tolist() == [[fired]]


@pytest.mark.parametrize(
    ("reads", "highest"),
    [
        ((), 0),
        ((Coefficients.per_value(TOKEN, {"a": 2}),), 2),
        ((Coefficients.per_value(TOKEN, {"a": -2}),), 0),
        ((Coefficients.per_value(TOKEN, {"a": -2, "b": -1, "c": -3}),), -1),
        ((Coefficients(HOLDS, ((0, -1),)),), 0),
        ((Coefficients(BITS, ((0, -3), (1, 2))),), 5),
        ((Coefficients.per_value(TOKEN, {"a": 2}), Coefficients(HOLDS, ((0, 1),))), 3),
        ((Coefficients(POINTS, ((0, 1), (1, 1))),), 4),
        ((Coefficients(POINTS, ((0, -1), (1, -1))),), 0),
        ((Coefficients(POINTS, ((0, -1),)),), 2),
    ],
)
def test_the_highest_sum_is_known_without_an_input(reads, highest):
    assert neuron(*reads).highest == highest


def test_the_highest_sum_of_a_read_without_entries_is_0():
    assert neuron(Coefficients(TOKEN, ())).highest == 0


NUMBERS = st.integers(-5, 5).filter(bool)


@st.composite
def reads(draw, subspace):
    numbers = draw(st.dictionaries(st.integers(0, subspace.width - 1), NUMBERS, min_size=1))
    return Coefficients(subspace, tuple(sorted(numbers.items())))


@given(reads(TOKEN), reads(BITS), reads(HOLDS))
def test_the_highest_sum_is_one_that_some_values_give(one, two, three):
    read = (one, two, three)
    sums = [
        sum(
            each.subspace.codeword(value)[i] * number
            for each, value in zip(read, values, strict=True)
            for i, number in each.entries
        )
        for values in product(*(each.subspace.values for each in read))
    ]
    assert neuron(*read).highest == max(sums)


@pytest.mark.parametrize(
    "read",
    [
        Coefficients(scalar("x"), ((0, 1),)),
        Coefficients(TOKEN, ((0, Fraction(1, 2)),)),
        Coefficients(TOKEN, ((0, Symbol("L")),)),
        Coefficients(HALVES, ((0, 2),)),
        Coefficients(sinusoidal("wave", range(4)), ((0, 1),)),
    ],
    ids=["a scalar", "a fraction", "a symbol", "codewords of fractions", "waves"],
)
def test_sums_that_are_not_known_to_be_integers_are_refused(read):
    with pytest.raises(CircuitError, match=f"reads `{read.subspace}`, whose sums are not known"):
        neuron(read).highest  # noqa: B018
