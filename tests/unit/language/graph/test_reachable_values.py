"""Which values occur together: every combination of what they are computed from, one by one."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest

from handcraft import Prompts, lookup, where
from handcraft.language.graph.reachable import bases, combinations, compute, rows

PROMPTS = Prompts("abc", context=5)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
BACK = TOKEN.at(-1, default="a")

EXPRESSIONS = {
    "the position itself": [POSITION],
    "the same twice": [TOKEN, TOKEN],
    "a table and a sum": [TOKEN.map({"a": 1, "b": 2, "c": 3}), POSITION * 2 - POSITION % 2 + 1],
    "fractions": [POSITION / 2 + TOKEN.map({"a": 0.25, "b": 0.5, "c": 1}) * Fraction(1, 3)],
    "flags and what they count": [(TOKEN == "a") + (BACK == "b"), (TOKEN == "a") & (BACK == "b")],
    "a choice": [where(TOKEN == BACK, POSITION, -1), POSITION >= 2],
    "an assumption": [POSITION.assume([1, 3]) + 1, TOKEN],
    "two assumptions": [POSITION.assume([0, 1, 2]), POSITION.assume([2, 3]), BACK],
    "a table of an assumption": [lookup(lambda x, i: x * i, TOKEN, POSITION.assume([0, 2]))],
}


def one_by_one(nodes, below):
    """Every combination, and what the nodes are then, if no value lies outside of its domain."""

    def value_of(node, at):
        if node in below:
            return at[below.index(node)]
        row = [value_of(child, at) for child in node.children]
        value = compute(node, row)
        if value not in node.domain:
            raise KeyError(value)
        return value

    for at in product(*(base.domain.values for base in below)):
        try:
            yield at, tuple(value_of(node, at) for node in nodes)
        except KeyError:
            continue


@pytest.mark.parametrize("expressions", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_columns_hold_what_the_rows_say(expressions):
    nodes = [expression.node for expression in expressions]
    below = bases(*nodes)
    found = list(rows(nodes, below))
    assert found == list(one_by_one(nodes, below))
    assert combinations(nodes) == {values for _, values in found}
    for value in (value for _, values in found for value in values if isinstance(value, Fraction)):
        assert value.denominator > 1, "a whole number is an integer"


def test_of_nothing_there_is_one_combination():
    assert list(rows([], [])) == [((), ())]
    assert list(rows([], [POSITION.node])) == [((i,), ()) for i in range(5)]
