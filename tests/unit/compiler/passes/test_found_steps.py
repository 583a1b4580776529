"""A table as steps along one sum: how few are found, and that they are right."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft.compiler.passes.ir import between
from handcraft.compiler.passes.tables import step_function
from handcraft.compiler.passes.tables.step_function import Steps, additive, find_steps

BITS = (False, True)
DIGITS = tuple(range(5))
LETTERS = ("a", "b", "c", "d")


def tabulated(function, *domains):
    """The table of a function over all combinations."""
    return {row: function(*row) for row in product(*domains)}


def steps_of(function, *domains, scalar: int | None = None) -> Steps:
    """The steps of a function, which say for every row what it says."""
    table = tabulated(function, *domains)
    found = find_steps(table, domains, scalar)
    assert_right(found, table)
    return found


def assert_right(steps: Steps, table) -> None:
    """Assert that every row reaches its value, and that no sum lies in the gap below a threshold."""
    assert len(steps.values) == len(steps) + 1
    assert list(steps.thresholds) == sorted(steps.thresholds)
    for row, value in table.items():
        total = sum(weights[part] for weights, part in zip(steps.weights, row, strict=True))
        reached = [total >= at_least for at_least, _ in steps.thresholds]
        assert reached == sorted(reached, reverse=True), (
            "a threshold is reached only if all before it are"
        )
        said = steps.values[sum(reached)]
        assert (said, type(said)) == (value, type(value)), row
        for at_least, gap in steps.thresholds:
            assert total >= at_least or total <= at_least - gap


# fewest steps


@pytest.fixture(autouse=True)
def nothing_known():
    """Step functions are searched anew, and what was found is forgotten afterwards."""
    step_function._known_steps.cache_clear()
    yield
    step_function._known_steps.cache_clear()


def test_a_sum_of_two_digits_beside_a_flag_is_one_digit():
    """Only where the flag is set, a sum of 9 is told from others: 2 steps, and not 2 for each digit."""
    found = steps_of(lambda on, a, b: on and a + b == 9, BITS, range(10), range(10))
    assert len(found) == 2
    assert len(steps_of(lambda a, on, b: on and a - b == 2, DIGITS, BITS, DIGITS)) == 2


@pytest.mark.parametrize("seed", range(20))
def test_sums_of_some_arguments_are_right_for_any_table(seed):
    rng = random.Random(seed)
    table = {row: rng.choice(LETTERS[:2]) for row in product(BITS, range(4), range(3))}
    domains = BITS, tuple(range(4)), tuple(range(3))
    assert_right(find_steps(table, domains, None), table)


def test_a_comparison_of_a_sum_of_numbers_is_one_step():
    assert len(steps_of(lambda x, y: x + y >= 4, DIGITS, DIGITS)) == 1


def test_an_order_of_two_numbers_is_one_step():
    assert len(steps_of(lambda x, y: x < y, DIGITS, DIGITS)) == 1


def test_words_of_which_only_their_kind_counts_make_no_table_too_large(monkeypatch):
    monkeypatch.setattr(step_function, "PROGRAM_ROWS_UP_TO", 2 * 5 * 5 * 2)
    words = tuple("abcdefghij")
    found = steps_of(lambda f, x, y, w: f and x < y and w < "d", BITS, DIGITS, DIGITS, words)
    assert len(found) == 1


def test_two_numbers_that_are_equal_lie_between_two_steps():
    assert len(steps_of(lambda x, y: x == y, DIGITS, DIGITS)) == 2


def test_the_sum_itself_takes_a_step_for_each_of_its_values():
    assert len(steps_of(lambda x, y: x + y, DIGITS, DIGITS)) == 8


@pytest.mark.parametrize("count", [2, 3, 4])
def test_flags_that_all_hold_are_one_step(count):
    assert len(steps_of(lambda *flags: all(flags), *[BITS] * count)) == 1
    assert len(steps_of(lambda *flags: any(flags), *[BITS] * count)) == 1


def test_a_parity_takes_a_step_for_each_flag():
    assert len(steps_of(lambda *flags: sum(flags) % 2 == 1, *[BITS] * 4)) == 4


def test_values_that_do_the_same_are_one_class():
    late = steps_of(lambda x, y: x in "cd" and y in "bd", LETTERS, LETTERS)
    assert len(late) == 1
    assert [len(set(weights.values())) for weights in late.weights] == [2, 2]


def test_an_argument_that_counts_for_nothing_has_one_class():
    found = steps_of(lambda x, y: x == "b", LETTERS, BITS)
    assert len(set(found.weights[1].values())) == 1


def test_equal_classes_lie_between_two_steps():
    assert len(steps_of(lambda x, y: (x in "ad") == y, LETTERS, BITS)) == 2


def test_one_decides_and_the_other_breaks_ties_along_digits():
    assert len(steps_of(lambda x, y: (x, y) >= (2, 3), DIGITS, DIGITS)) == 1


def vote(a: bool, b: bool, c: bool, d: bool) -> bool:
    """`a` has two votes; three of five win."""
    return 2 * a + b + c + d >= 3


def test_weights_that_no_argument_has_come_from_a_linear_program(monkeypatch):
    assert len(steps_of(vote, *[BITS] * 4)) == 1
    monkeypatch.setattr(step_function, "PROGRAM_ROWS_UP_TO", 0)
    step_function._known_steps.cache_clear()
    assert len(steps_of(vote, *[BITS] * 4)) == 3, "sums and digits alone do not find them"


def test_a_linear_program_orders_several_levels():
    found = steps_of(lambda *each: sum(map(int.__mul__, (5, 3, 2, 2), each)) // 4, *[(0, 1)] * 4)
    assert len(found) == 3


def test_labels_have_no_order_for_a_linear_program():
    steps_of(lambda x, y: "xyz"[(x * 7 + y * y * 3) % 3], DIGITS, DIGITS)


def test_flags_and_the_numbers_0_and_1_stay_apart():
    assert set(map(type, steps_of(lambda x, y: x and y, BITS, BITS).values)) == {bool}
    assert set(map(type, steps_of(lambda x, y: int(x and y), BITS, BITS).values)) == {int}


def test_a_table_with_one_value_takes_no_step():
    found = find_steps({(0, 0): "x", (1, 1): "x"}, [(0, 1), (0, 1)], None)
    assert (len(found), found.values) == (0, ("x",))


def test_rows_that_never_occur_cost_no_steps():
    diagonal = {(x, x): x == 2 for x in DIGITS}
    found = find_steps(diagonal, [DIGITS, DIGITS], None)
    assert_right(found, diagonal)
    assert len(found) == 1


def test_a_value_that_never_occurs_may_weigh_anything():
    table = {
        (False, False, 0): False,
        (False, False, 1): True,
        (False, False, 2): False,
        (False, True, 0): False,
    }
    found = find_steps(table, [BITS, BITS, (0, 1, 2)], None)
    assert_right(found, table)


# a number of which only a multiple can be added

SHARES = tuple(Fraction(n, 12) for n in (0, 1, 3, 4, 6, 8, 9, 12))


def test_a_mean_is_the_last_digit_and_is_added_as_it_is():
    found = steps_of(lambda flag, share: flag and share >= Fraction(1, 2), BITS, SHARES, scalar=1)
    assert len(found) == 1
    multiples = {found.weights[1][share] / share for share in SHARES if share}
    assert len(multiples) == 1


def test_a_mean_compared_with_a_number_for_each_letter_takes_a_threshold_each():
    bound = {"a": 3, "b": 6, "c": 9, "d": 12}
    found = steps_of(lambda x, share: share * 12 >= bound[x], LETTERS, SHARES, scalar=1)
    assert len(found) == 2 * len(LETTERS) - 1


# sums


def test_a_sum_of_one_number_for_each_argument_is_recognised():
    parts, constant = additive(
        tabulated(lambda x, y, z: 3 * x - y + z + 7, (0, 1), (2, 5), BITS), [(0, 1), (2, 5), BITS]
    )
    assert constant + parts[0][1] + parts[1][5] + parts[2][True] == 3 - 5 + 1 + 7


def test_a_table_of_letters_may_be_a_sum_too():
    worth = {"a": 5, "b": -1, "c": 0, "d": 9}
    table = tabulated(lambda x, y: worth[x] + 2 * y, LETTERS, DIGITS)
    parts, constant = additive(table, [LETTERS, DIGITS])
    assert all(parts[0][x] + parts[1][y] + constant == value for (x, y), value in table.items())


@pytest.mark.parametrize(
    "function",
    [lambda x, y: x * y, max, lambda x, y: (x + y) % 3, lambda x, y: "ab"[x < y]],
    ids=["product", "maximum", "remainder", "labels"],
)
def test_what_is_no_sum_is_not_taken_for_one(function):
    assert additive(tabulated(function, DIGITS, DIGITS), [DIGITS, DIGITS]) is None
    three = tabulated(lambda x, y, z: function(x, y), DIGITS, DIGITS, BITS)
    assert additive(three, [DIGITS, DIGITS, BITS]) is None


def test_a_sum_is_recognised_where_not_every_pair_occurs():
    table = {(x, y): 10 * x + y for x, y in product(DIGITS, DIGITS) if x <= y}
    parts, constant = additive(table, [DIGITS, DIGITS])
    assert all(parts[0][x] + parts[1][y] + constant == value for (x, y), value in table.items())


def test_pairs_that_contradict_each_other_are_no_sum():
    table = {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 3}
    assert additive(table, [(0, 1), (0, 1)]) is None
    del table[1, 1]
    assert additive(table, [(0, 1), (0, 1)]) is not None


# any table


@st.composite
def tables(draw):
    """Tables over two or three arguments, of flags, numbers or labels; some rows never occur."""
    pools = [BITS, (0, 1, 2), (-1, Fraction(1, 2), 3), LETTERS[:3]]
    domains = draw(st.lists(st.sampled_from(pools), min_size=1, max_size=3))
    rows = list(product(*domains))
    kept = draw(st.lists(st.sampled_from(rows), min_size=1, unique=True))
    pool = draw(st.sampled_from([BITS, (0, 1), (0, 1, 5, Fraction(-7, 3)), ("x", "y", "z")]))
    return domains, {row: draw(st.sampled_from(pool)) for row in kept}


@settings(max_examples=sweep(300))
@given(tables())
def test_any_table_becomes_steps(drawn):
    domains, table = drawn
    found = find_steps(table, domains, None)
    assert_right(found, table)
    assert len(found) < len(table)


@settings(max_examples=sweep(150))
@given(
    tables(),
    st.lists(st.fractions(0, 3, max_denominator=6), min_size=2, max_size=6, unique=True),
    st.data(),
)
def test_any_table_of_values_and_a_mean_becomes_a_step_function(drawn, shares, data):
    domains, _ = drawn
    shares = tuple(sorted(shares))
    rows = list(product(*domains, shares))
    table = {row: data.draw(st.sampled_from((0, 1, 2)), label=str(row)) for row in rows[:60]}
    found = find_steps(table, [*domains, shares], len(domains))
    assert_right(found, table)
    multiples = {found.weights[-1][share] / share for share in shares if share}
    assert len(multiples) == 1


@st.composite
def sums(draw):
    """Domains of one to three arguments, and a sum of a number of each as a table of all rows."""
    domains = draw(st.lists(st.sampled_from([BITS, DIGITS, LETTERS]), min_size=1, max_size=3))
    numbers = [{value: draw(st.integers(-9, 9)) for value in domain} for domain in domains]
    return domains, {
        row: sum(part[v] for part, v in zip(numbers, row, strict=True)) for row in product(*domains)
    }


@settings(max_examples=sweep(150))
@given(sums(), st.data())
def test_a_table_is_taken_for_a_sum_exactly_where_it_is_one(drawn, data):
    domains, table = drawn
    parts, constant = additive(table, domains)
    for row, value in table.items():
        assert constant + sum(part[v] for part, v in zip(parts, row, strict=True)) == value
    table[data.draw(st.sampled_from(list(table)))] += data.draw(st.sampled_from([-1, 1]))
    assert (additive(table, domains) is None) == (len(domains) > 1)
    table[next(iter(table))] = "a"
    assert additive(table, domains) is None


@settings(max_examples=sweep(150))
@given(sums().filter(lambda drawn: len(drawn[0]) == 2), st.data())
def test_a_sum_of_two_is_found_where_some_pairs_never_occur(drawn, data):
    domains, table = drawn
    kept = data.draw(st.lists(st.sampled_from(list(table)), min_size=1, unique=True))
    parts, constant = additive({row: table[row] for row in kept}, domains)
    assert all(constant + parts[0][one] + parts[1][other] == table[one, other] for one, other in kept)


@given(st.fractions(-50, 50, max_denominator=40), st.fractions(Fraction(1, 40), 50, max_denominator=40))
def test_a_threshold_between_two_numbers_has_its_gap_between_them(below, space):
    above = below + space
    at_least, gap = between(below, above)
    assert below <= at_least - gap
    assert at_least <= above
    assert at_least - gap - below == above - at_least, (
        "what rounding may take is the same on both sides"
    )
    assert space / 2 < gap <= space
    power = gap.numerator * gap.denominator
    assert power & (power - 1) == 0
