"""Domains: exact while they are small, ranges of numbers past that, and what a range still knows."""

from __future__ import annotations

from fractions import Fraction

import pytest

from handcraft import Prompts, select, weighted, where, window
from handcraft.errors import DomainError, LimitError
from handcraft.language.graph.domain import (
    FLAGS,
    Finite,
    Kind,
    Range,
    finite,
    plain_value,
    whole_numbers,
)
from handcraft.limits import LISTED_POSITIONS

PROMPTS = Prompts("ab", context=12)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
FINE = window(12).mean(window(11).mean(POSITION))


def test_dependent_values_are_not_combined_freely():
    assert str((POSITION + POSITION % 2).domain) == "0 2 4 6 8 10 12"
    assert str(where(TOKEN == "a", TOKEN == "b", False).domain) == "False"
    back = TOKEN.at(-1, default="a")
    assert str(((TOKEN == "a") & (back == "a")).domain) == "False True"


@pytest.mark.parametrize("context", [1, 2, 7, 20])
@pytest.mark.parametrize("numbers", [[0, 1], [-1, 3], [2], [0.5, 0.75, 2]])
def test_means_are_all_fractions_between_with_denominators_up_to_the_context(context, numbers):
    prompts = Prompts("abc", context=context)
    value = prompts.token.map(dict(zip("abc", [*numbers, numbers[0], numbers[0]], strict=False)))
    low, unit = value.domain.low, value.domain.unit
    steps = int((value.domain.high - low) / unit)
    expected = {
        low + unit * Fraction(p, q) for q in range(1, context + 1) for p in range(steps * q + 1)
    }
    found = window(context).mean(value).domain
    assert found.values == tuple(sorted(expected))
    assert all(isinstance(v, int) == (Fraction(v).denominator == 1) for v in found.values)


def test_means_of_means_are_a_range():
    domain = FINE.domain
    assert isinstance(domain, Range)
    assert (domain.low, domain.high) == (0, 11)
    assert all(value in domain for value in FINE.trace("abababababab"))


def test_a_range_is_compared_added_and_weighted_but_not_tabulated():
    assert str((FINE >= 2).domain) == "False True"
    assert isinstance((FINE + POSITION).domain, Range)
    assert isinstance(weighted(FINE, {0: 1, -1: 0.5}).domain, Range)
    assert isinstance(where(TOKEN == "a", FINE, 0).domain, Range)
    with pytest.raises(DomainError, match="too many values for a table"):
        FINE.map(str)
    with pytest.raises(DomainError, match="too many values for a table"):
        select(FINE, 1)


@pytest.mark.parametrize(
    ("flag", "meaning"),
    [
        (FINE >= 1, lambda x: x >= 1),
        (FINE > 1, lambda x: x > 1),
        (FINE <= 1, lambda x: x <= 1),
        (FINE < 1, lambda x: x < 1),
        (FINE == 1, lambda x: x == 1),
        (FINE != 1, lambda x: x != 1),
    ],
)
def test_every_comparison_with_a_range_is_exact(flag, meaning):
    values = FINE.trace("a" * 12)
    assert 1 in values
    assert flag.trace("a" * 12) == tuple(map(meaning, values))


def test_whole_numbers_too_many_to_list_are_a_range():
    assert whole_numbers(0, 3) == finite(range(4))
    assert whole_numbers(0, 10**9 - 1) == Range(0, 10**9 - 1)


def test_every_position_that_an_expression_can_read_is_listed():
    most = LISTED_POSITIONS.most
    assert Prompts("ab", context=most).position.domain == finite(range(most))
    with pytest.raises(LimitError, match=f"{most + 1:,} positions"):
        _ = Prompts("ab", context=most + 1).position


def test_a_set_knows_its_kind_its_order_and_its_gap():
    assert finite([True, False]) == FLAGS
    assert finite([3, 1, Fraction(1, 2), 1]).values == (Fraction(1, 2), 1, 3)
    assert finite([0, Fraction(1, 3), 2]).gap == Fraction(1, 3)
    assert finite(["b", "a", "b"]) == Finite(Kind.CATEGORY, ("b", "a"))
    assert 1 in finite([0, 1])
    assert True not in finite([0, 1])
    with pytest.raises(DomainError, match="of 2 kinds"):
        finite([1, "a"])


@pytest.mark.parametrize(
    ("value", "plain"),
    [(0.1, Fraction(1, 10)), (2.0, 2), (True, True), (Fraction(4, 2), 2), ("a", "a"), ((1, 2), (1, 2))],
)
def test_a_python_value_becomes_a_value_of_the_language(value, plain):
    assert plain_value(value) == plain
    assert type(plain_value(value)) is type(plain)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1], {"a": 1}])
def test_what_is_no_value_is_refused(value):
    with pytest.raises(DomainError, match="is not a value of a sequence"):
        plain_value(value)
