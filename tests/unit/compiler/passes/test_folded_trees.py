"""Constant folding and common subexpressions: fewer nodes, the same values."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from short_texts import assert_same, kinds

from handcraft import Prompts, lookup, select, where, window
from handcraft.compiler.passes.fold import rebuild
from handcraft.language.graph.domain import FLAGS, Range
from handcraft.language.graph.node import AtLeast, Constant, Linear, Lookup, Node, walk
from handcraft.language.graph.wording import reads

PROMPTS = Prompts("abc", context=4)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
FLAG = TOKEN == "a"
WIDE = window(2).mean(window(3).mean(POSITION)) * 0.1
"""A number of which only a range is known."""


def rebuilt(*expressions) -> list[Node]:
    """The trees after the pass, which keeps every value."""
    nodes = [expression.node for expression in expressions]
    found = rebuild(nodes)
    assert_same(PROMPTS, nodes, found)
    return found


def value_of(node: Node) -> object:
    assert isinstance(node, Constant)
    return node.value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (POSITION * 0 + 2, 2),
        (POSITION - POSITION, 0),
        (TOKEN == TOKEN, True),
        (FLAG & ~FLAG, False),
        (POSITION >= 0, True),
        (TOKEN.map({"a": 1, "b": 1, "c": 1}), 1),
        (where(FLAG | ~FLAG, 3, POSITION), 3),
        (select(TOKEN, TOKEN).latest(PROMPTS.constant("b")), "b"),
        (PROMPTS.everything.mean(PROMPTS.constant(4)), 4),
        (where(FLAG | ~FLAG, POSITION * 0 + 1, WIDE), 1),
    ],
    ids=str,
)
def test_what_is_the_same_everywhere_becomes_a_constant(expression, value):
    assert value_of(rebuilt(expression)[0]) == value


def test_the_mean_of_a_flag_that_always_holds_is_a_number():
    (node,) = rebuilt(PROMPTS.everything.mean(PROMPTS.constant(True)))
    assert value_of(node) is not True
    assert value_of(node) == 1


def test_a_constant_sum_that_is_whole_is_an_integer():
    share = PROMPTS.constant(3) * (1 / 4)
    (node,) = rebuilt(share + PROMPTS.constant(5) * (1 / 4))
    assert isinstance(value_of(node), int)


def test_what_may_find_no_source_is_no_constant():
    (node,) = rebuilt(select(TOKEN, "b").latest(PROMPTS.constant(1), default=0))
    assert not isinstance(node, Constant)


def test_what_is_written_twice_is_computed_once():
    one, other = rebuilt(select(TOKEN, TOKEN).count() + 1, select(TOKEN, TOKEN).count() + 1)
    assert one is other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FLAG & (POSITION > 1), FLAG & (POSITION > 1)),
        (POSITION + TOKEN.map(ord), TOKEN.map(ord) + POSITION),
        (
            (select(TOKEN, TOKEN) & select(POSITION, POSITION, "<")).count(),
            (select(POSITION, POSITION, "<") & select(TOKEN, TOKEN)).count(),
        ),
        (TOKEN.at(-1, default="a").at(-2, default="b"), TOKEN.at(-1, default="a").at(-2, default="b")),
        (WIDE >= 1, WIDE >= 1),
        (where(FLAG, WIDE, POSITION), where(FLAG, WIDE, POSITION)),
        (TOKEN.assume("ab"), TOKEN.assume("ba")),
    ],
    ids=["and", "sum", "selection", "back", "comparison", "choice", "promise"],
)
def test_what_means_the_same_is_one_node(one, other):
    assert one.node is not other.node
    first, second = rebuilt(one, other)
    assert first is second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TOKEN.map({"a": 1, "b": 0, "c": 0}), TOKEN.map({"a": True, "b": False, "c": False})),
        (TOKEN.at(-1, default="a"), TOKEN.at(-1, default="b")),
        (select(TOKEN, TOKEN).count(), select(TOKEN, TOKEN).exists()),
        (
            select(TOKEN, "a").latest(POSITION, default=0),
            select(TOKEN, "a").earliest(POSITION, default=0),
        ),
        (select(POSITION, TOKEN.map(ord), "<").count(), select(TOKEN.map(ord), POSITION, "<").count()),
        (PROMPTS.constant(1) + POSITION * 0, PROMPTS.constant(True)),
    ],
    ids=[
        "1 and True",
        "default",
        "count and exists",
        "latest and earliest",
        "key and query",
        "constants",
    ],
)
def test_what_means_something_else_stays_another_node(one, other):
    first, second = rebuilt(one, other)
    assert first is not second


def test_a_double_negation_is_gone():
    one, other = rebuilt(~~FLAG, FLAG)
    assert one is other


def test_a_negation_is_part_of_the_table_below_it():
    (node,) = rebuilt(~(TOKEN == "a"))
    assert kinds(node) == {"Lookup": 1, "Embedded": 1}


@pytest.mark.parametrize(
    "expression",
    [TOKEN.map({"a": "a", "b": "b", "c": "c"}), where(FLAG, TOKEN, TOKEN), lookup(max, TOKEN, TOKEN)],
    ids=str,
)
def test_a_table_that_gives_back_what_it_reads_is_gone(expression):
    assert kinds(*rebuilt(expression)) == {"Embedded": 1}


def test_a_table_from_flags_to_0_and_1_is_kept():
    (node,) = rebuilt(FLAG.map({False: 0, True: 1}))
    assert isinstance(node, Lookup)
    assert set(node.table.values()) == {0, 1}


def test_an_argument_that_changes_nothing_is_left_out():
    (node,) = rebuilt(
        lookup(lambda x, y, z: x == "a" or z == "b", TOKEN, POSITION, TOKEN.at(-1, default="a"))
    )
    assert isinstance(node, Lookup)
    assert len(node.arguments) == 2


def test_a_constant_argument_is_left_out():
    (node,) = rebuilt(lookup(lambda x, y: x + y, POSITION, POSITION * 0 + 3))
    assert isinstance(node, Lookup)
    assert [str(argument) for argument in node.arguments] == ["position"]


def test_of_an_argument_that_the_pass_finds_constant_only_those_rows_stay():
    same = window(2).mean(window(3).mean(POSITION.map(lambda i: i))) * 0.1
    never = WIDE - same > 0  # as written only a range of the difference is known
    assert never.node.domain == FLAGS
    found = rebuilt(where(never, "c", TOKEN), where(never | FLAG, 1, POSITION), never & FLAG)
    token, choice, constant = found
    assert token == TOKEN.node
    assert isinstance(choice, Lookup)
    assert set(choice.table) == {(flag, i) for flag in (False, True) for i in range(4)}
    assert value_of(constant) is False


def test_an_argument_that_stands_twice_is_read_once():
    twice = lookup(lambda x, y: x + 10 * y, POSITION, (POSITION + 1) - 1)
    (node,) = rebuilt(twice)
    assert isinstance(node, Lookup)
    assert len(node.arguments) == 1
    assert sorted(node.table.values()) == [0, 11, 22, 33]


def test_a_table_of_a_table_is_one_table():
    (node,) = rebuilt(TOKEN.map({"a": 1, "b": 2, "c": 3}).map(lambda n: n % 2 == 0))
    assert kinds(node) == {"Lookup": 1, "Embedded": 1}
    assert node.table == {("a",): False, ("b",): True, ("c",): False}


def test_a_table_knows_only_the_values_that_are_left():
    few = TOKEN.map({"a": 1, "b": 1, "c": 2})
    (node,) = rebuilt(lookup(lambda x, y: 10 * x + y, few, few + 0))
    assert node.domain.values == (11, 22)


def test_a_sum_of_sums_is_one_sum():
    seen, before = select(TOKEN, TOKEN).count(), POSITION.at(-1, default=0)
    (node,) = rebuilt((seen + 1) * 2 + (seen - before) + 5)
    assert isinstance(node, Linear)
    assert {str(term): factor for factor, term in node.terms} == {str(seen): 3, str(before): -1}
    assert node.constant == 7


def test_terms_that_cancel_are_gone():
    one, other = rebuilt(POSITION + TOKEN.map(ord) - POSITION, TOKEN.map(ord))
    assert one is other


def test_a_sum_of_one_flag_stays_a_number():
    (node,) = rebuilt(FLAG + 0)
    assert node.domain.values == (0, 1)
    assert not any(value is True for value in node.domain.values)


def test_a_comparison_of_few_numbers_becomes_a_table():
    reached = AtLeast(FLAGS, reads("position >= 2"), POSITION.node, 2)
    (node,) = rebuild([reached])
    assert_same(PROMPTS, [reached], [node])
    assert isinstance(node, Lookup)


def test_a_comparison_of_many_numbers_stays_one():
    assert kinds(*rebuilt(WIDE >= 1))["AtLeast"] == 1


def test_a_promise_about_a_constant_is_gone():
    assert value_of(rebuilt((POSITION * 0 + 1).assume([1]))[0]) == 1


def test_of_one_value_the_domain_that_lists_its_values_counts():
    """A count asks for the share of a among all, and so does the mean; only one knows each fraction."""
    share = window(4).mean(TOKEN == "a")
    coarse = replace(share.node, domain=Range(0, 1, Fraction(1), 4))
    number = replace((WIDE + 1).node, terms=((1, coarse),))
    found = rebuild([number, share.node, replace((WIDE >= 1).node, number=coarse)])
    assert [node.domain for node in walk(*found) if str(node) == str(share.node)] == [share.node.domain]
    assert not kinds(*found)["AtLeast"]


def test_rebuilding_twice_changes_nothing_more():
    once = rebuild([((POSITION + 1) * 2 + select(TOKEN, TOKEN).count()).node, (~~FLAG).node])
    twice = rebuild(once)
    assert [kinds(node) for node in once] == [kinds(node) for node in twice]
    assert [str(node) for node in walk(*once)] == [str(node) for node in walk(*twice)]


def test_two_assumptions_of_one_value_stay_apart():
    nodes = [POSITION.assume(values).node for values in ([0, 1], [0, 1, 2])]
    assert [node.domain for node in rebuild(nodes)] == [node.domain for node in nodes]
