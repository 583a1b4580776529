"""What is known of conditions before anything is compiled: which always hold, and which are orders."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from handcraft import Prompts, lookup, select
from handcraft.compiler.passes.aggregates.joined import joined
from handcraft.compiler.passes.cases import (
    Setting,
    allowed,
    is_positional,
    pairs_match,
    simplified,
    split,
)
from handcraft.language.graph.node import Comparison, Match, Node
from handcraft.language.graph.source_counts import holding, selects_itself

PROMPTS = Prompts("abc", context=4)
TOKEN, PLACE = PROMPTS.token, PROMPTS.position
SETTING = Setting(4, causal=True)
BOTH_WAYS = Setting(4, causal=False)


def condition(selection) -> Match:
    """The only condition of a selection."""
    (match,) = case(selection)
    return match


def case(selection) -> tuple[Match, ...]:
    """The conditions of a selection with one case."""
    (found,) = selection.sources.cases
    return found


def test_conditions_on_positions_alone_are_known():
    assert is_positional(condition(select(PLACE, PLACE, "<")))
    assert is_positional(condition(select(PLACE % 2, (PLACE + 1) % 2)))
    assert is_positional(condition(select(PLACE, 0)))
    assert not is_positional(condition(select(TOKEN, TOKEN)))
    assert not is_positional(condition(select(PLACE, TOKEN.map(ord))))


@pytest.mark.parametrize("relation", ["==", "!=", "<", "<=", ">", ">="])
def test_which_pairs_of_positions_are_allowed_is_a_table(relation):
    found = allowed(case(select(PLACE, PLACE, relation)), SETTING)
    compare = Comparison(relation).holds
    for here, there in product(range(4), repeat=2):
        assert found[here, there] == compare(there, here)


@pytest.mark.parametrize("relation", [*Comparison, frozenset({(0, 1), (Fraction(1, 2), 3), (3, 3)})])
def test_conditions_hold_of_values_one_pair_at_a_time(relation):
    keys, queries = [3, 0, Fraction(1, 2), 0, True], [Fraction(1, 2), 3, False, 1, 1]
    match = Match(PLACE.node, PLACE.node, relation)
    found = holding(match, keys, queries)
    assert found.tolist() == [[match.holds(key, query) for key in keys] for query in queries]


@pytest.mark.parametrize("relation", [Comparison.EQ, Comparison.NEQ])
def test_labels_are_compared_too(relation):
    match = Match(TOKEN.node, TOKEN.node, relation)
    found = holding(match, ["b", "a", "b"], ["a", "c"])
    assert found.tolist() == [[match.holds(key, query) for key in "bab"] for query in "ac"]


def test_several_cases_are_joined_as_what_any_of_them_selects():
    counted = (select(TOKEN, TOKEN) & select(PLACE, PLACE, "<") | select(PLACE % 2, 0)).count()
    of = counted.node
    (match,) = joined(of.sources.cases, of)
    for there, here in product(match.key.domain.values, match.query.domain.values):
        at = dict(zip(match.key.children, there, strict=True))
        asked = dict(zip(match.query.children, here, strict=True))
        assert match.holds(there, here) == of.sources.holds(
            lambda node, is_key, at=at, asked=asked: (at if is_key else asked)[node]
        )


def test_several_conditions_allow_what_all_allow():
    found = allowed(case(select(PLACE, PLACE, "<") & select(PLACE % 2, 0)), SETTING)
    assert found.tolist() == [
        [there < here and there % 2 == 0 for there in range(4)] for here in range(4)
    ]


def test_conditions_of_constants_alone_allow_everything_or_nothing():
    three = PROMPTS.constant(1) + 2
    assert allowed(case(select(three, 3)), SETTING).all()
    assert not allowed(case(select(three, 5)), SETTING).any()


def test_a_condition_that_always_holds_is_left_out():
    assert simplified(case(select(PLACE, PLACE, "<=")), SETTING) == ()
    (left,) = simplified(case(select(TOKEN, TOKEN) & select(PLACE, PLACE, "<=")), SETTING)
    assert left.key is TOKEN.node


def test_invisible_pairs_do_not_count():
    assert simplified(case(select(PLACE, PLACE, ">")), SETTING) is None
    assert simplified(case(select(PLACE, PLACE, ">")), BOTH_WAYS) is not None
    assert len(simplified(case(select(PLACE, PLACE, "<=")), BOTH_WAYS)) == 1


def test_a_condition_that_never_holds_leaves_nothing():
    assert simplified(case(select(TOKEN, TOKEN) & select(PLACE, PLACE + 9)), SETTING) is None


def test_the_same_condition_twice_is_one():
    same = select(TOKEN, TOKEN)
    assert len(simplified(case(same & same), SETTING)) == 1


def test_several_conditions_on_positions_become_one():
    (found,) = simplified(case(select(PLACE, PLACE, "<") & select(PLACE, 0, ">")), SETTING)
    for here, there in product(range(4), repeat=2):
        assert found.holds(there, here) == (0 < there < here)


def test_pairs_of_positions_make_a_condition():
    flags = np.eye(4, dtype=bool)[::-1]
    match = pairs_match(flags, SETTING)
    assert [[match.holds(there, here) for there in range(4)] for here in range(4)] == flags.tolist()


@pytest.mark.parametrize(
    ("selection", "holds"),
    [
        (select(TOKEN, TOKEN), True),
        (select(PLACE, PLACE, ">="), True),
        (select(TOKEN, TOKEN) & select(PLACE, PLACE, "<="), True),
        (select(TOKEN.map(ord), TOKEN.map(lambda t: ord(t) + 1), "<"), True),
        (select(PLACE, PLACE, "<"), False),
        (select(TOKEN, "a"), False),
        (select(TOKEN, TOKEN.at(-1, default="a")), False),
        (select(TOKEN, TOKEN) & select(TOKEN, "a"), False),
    ],
    ids=str,
)
def test_whether_a_position_surely_selects_itself(selection, holds):
    assert selects_itself(case(selection)) is holds


MANY = Prompts("abcdefghijklmnop", context=4)
FIRST_TOKEN = lookup(lambda t, i: 10 * ord(t) + i, MANY.token, MANY.position)
FIRST_POSITION = lookup(lambda t, i: 1000 * i - ord(t), MANY.token, MANY.position)
MIXED = lookup(lambda t, i: (ord(t) * 7 + i * 13) % 64 + 64 * (t > "g"), MANY.token, MANY.position)


def holds_by_parts(cases, there: dict[str, object], here: dict[str, object]) -> list[bool]:
    """For each case whether it holds, given token and position at the source and here."""

    def value(node: Node, at: dict[str, object]) -> object:
        return at[str(node)] if not node.children else node.table[(at[str(node.children[0])],)]

    return [all(m.holds(value(m.key, there), value(m.query, here)) for m in each) for each in cases]


@pytest.mark.parametrize("relation", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("key", [FIRST_TOKEN, FIRST_POSITION], ids=["token first", "position first"])
def test_an_order_of_pairs_is_split_into_cases_that_exclude_each_other(key, relation):
    cases = split(condition(select(key, key, relation)))
    assert cases is not None
    rows = [{"token": t, "position": i} for t in "abp" for i in range(4)]
    for there, here in product(rows, repeat=2):
        each = holds_by_parts(cases, there, here)
        numbers = [key.node.table[at["token"], at["position"]] for at in (there, here)]
        assert sum(each) == Comparison(relation).holds(*numbers)


@pytest.mark.parametrize(
    "selection",
    [
        select(FIRST_TOKEN, FIRST_TOKEN),
        select(FIRST_TOKEN, FIRST_TOKEN, "!="),
        select(FIRST_TOKEN, FIRST_TOKEN + 1, "<"),
        select(MIXED, MIXED, "<"),
        select(MANY.position, MANY.position, "<"),
        select(FIRST_TOKEN, FIRST_TOKEN, lambda k, q: k < q),
    ],
    ids=["equal", "not equal", "another query", "no order of pairs", "one part", "a function"],
)
def test_what_is_no_order_of_pairs_is_not_split(selection):
    assert split(condition(selection)) is None
