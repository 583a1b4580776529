"""Linear maps between subspaces, and what each of their makers refuses."""

from __future__ import annotations

import pytest
from sympy import Symbol

from handcraft.circuits import copy, flag, one_hot, project, scalar, signed_bits, value_map
from handcraft.errors import CircuitError, EncodingError
from handcraft.origin import Origin

TOKEN = one_hot("token", "ab")
OTHER = one_hot("other", "xy")
SCRATCH = scalar("scratch")
L = Symbol("L", positive=True)


def test_a_copy_is_the_identity_times_a_factor():
    assert copy(TOKEN, OTHER).entries == ((0, 0, 1), (1, 1, 1))
    assert copy(TOKEN, OTHER, times=L).entries == ((0, 0, L), (1, 1, L))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (TOKEN, one_hot("three", "xyz")),
        (TOKEN, signed_bits("bits", range(4))),
        (SCRATCH, flag("holds")),
    ],
)
def test_a_copy_between_encodings_or_widths_is_refused(source, target):
    with pytest.raises(EncodingError, match=f"`{source}` .* cannot be copied to `{target}`"):
        copy(source, target)


def test_a_copy_times_nothing_has_no_entries():
    assert copy(TOKEN, OTHER, times=0).entries == ()


def test_a_value_map_turns_each_value_into_its_number():
    found = value_map(TOKEN, {"b": -1, "a": L}, into=SCRATCH, origins=[Origin("why")])
    assert (found.source, found.target) == (TOKEN, SCRATCH)
    assert found.entries == ((0, 0, L), (1, 0, -1))
    assert found.origins == (Origin("why"),)


def test_values_left_out_of_a_map_give_nothing():
    assert value_map(TOKEN, {"b": 2}, into=SCRATCH).entries == ((1, 0, 2),)
    assert project(SCRATCH, into=TOKEN, numbers={"b": 2, "a": 0}).entries == ((0, 1, 2),)


def test_a_projection_writes_a_scalar_times_a_number_per_value():
    found = project(SCRATCH, into=TOKEN, numbers={"a": -L, "b": L}, origins=[Origin("why")])
    assert (found.source, found.target) == (SCRATCH, TOKEN)
    assert found.entries == ((0, 0, -L), (0, 1, L))
    assert found.origins == (Origin("why"),)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: value_map(TOKEN, {"a": 1}, into=OTHER), "`other` is one-hot, not a scalar"),
        (lambda: value_map(TOKEN, {"a": 1}, into=flag("f")), "`f` is flag, not a scalar"),
        (lambda: value_map(flag("f"), {True: 1}, into=SCRATCH), "`f` is encoded as flag"),
        (lambda: value_map(TOKEN, {"x": 1}, into=SCRATCH), "`token` cannot encode 'x'"),
        (lambda: project(TOKEN, into=OTHER, numbers={"x": 1}), "`token` is one-hot, not a scalar"),
        (lambda: project(SCRATCH, into=SCRATCH, numbers={"x": 1}), "is encoded as scalar"),
        (lambda: project(SCRATCH, into=OTHER, numbers={"a": 1}), "`other` cannot encode 'a'"),
    ],
)
def test_a_map_between_the_wrong_encodings_is_refused(make, message):
    with pytest.raises(EncodingError, match=message):
        make()


def test_a_factor_that_is_no_number_is_refused():
    with pytest.raises(CircuitError, match="not an exact number"):
        copy(TOKEN, OTHER, times="twice")
