"""Step functions that repeat along a sum read it in its first period: the same values."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from gallery import compiled
from hypothesis import given
from hypothesis import strategies as st
from short_texts import after, assert_same

from handcraft import Prompts, select
from handcraft.compiler.passes.ir import StepFunction, Threshold
from handcraft.compiler.passes.tables import periods
from handcraft.compiler.passes.tables.periods import in_one_period
from handcraft.language.graph.domain import FLAGS
from handcraft.language.graph.node import Node, walk
from handcraft.language.graph.wording import reads

DIGITS = Prompts("01234", context=2, inputs="..")
DIGIT = DIGITS.token.map(int)
FIRST = select(DIGITS.position, 0).latest(DIGIT)


def thresholds(nodes: list[Node]) -> int:
    return sum(len(node.thresholds) for node in walk(*nodes) if isinstance(node, StepFunction))


def flags_of_a_sum(tables: list[list[bool]]):
    """A flag of the sum of two digits for each table."""
    return [(FIRST + DIGIT).map(dict(enumerate(flags))) for flags in tables]


def reduced(*expressions) -> tuple[int, int]:
    """The number of thresholds before and after; the values are the same after every text."""
    nodes = after("fuse tables", *expressions)
    with patch.object(periods, "LEAST_SAVED", 1):
        found = in_one_period(nodes)
    assert_same(DIGITS, [expression.node for expression in expressions], found)
    return thresholds(nodes), thresholds(found)


def test_a_remainder_takes_half_the_thresholds_and_one_for_the_sum_itself():
    odd = [[bool(n % 5 >> k & 1) for n in range(9)] for k in range(3)]
    before, now = reduced(*flags_of_a_sum(odd))
    assert (before, now) == (12, 8)


def test_several_periods_take_a_threshold_each():
    prompts = Prompts("012345678", context=1)
    (number,) = after("fuse tables", prompts.token.map(int))
    flags = [n % 3 == 0 for n in range(9)]
    edges = [n for n in range(1, 9) if flags[n] != flags[n - 1]]
    thresholds_before = tuple(Threshold(((1, number),), at, 1) for at in edges)
    values = (flags[0], *(flags[at] for at in edges))
    node = StepFunction(FLAGS, reads("a multiple of 3"), thresholds_before, values)
    with patch.object(periods, "LEAST_SAVED", 1):
        found = in_one_period([node])
    assert (len(edges), thresholds(found)) == (5, 3)
    assert_same(prompts, [prompts.token.map(lambda n: int(n) % 3 == 0).node], found)


def test_what_does_not_repeat_stays_as_it_is():
    nodes = after("fuse tables", *flags_of_a_sum([[n in (1, 2, 4, 8) for n in range(9)]]))
    with patch.object(periods, "LEAST_SAVED", 1):
        assert in_one_period(nodes) == nodes


def test_functions_that_repeat_differently_stay_as_they_are_if_nothing_is_saved():
    nodes = after("fuse tables", *flags_of_a_sum([[bool(n % 2) for n in range(9)]]))
    assert in_one_period(nodes) == nodes


@given(
    st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=3),
    st.integers(1, 9),
)
def test_values_are_kept(tables, length):
    repeated = [[flags[n % length] for n in range(9)] for flags in tables]
    before, now = reduced(*flags_of_a_sum(repeated))
    assert now <= before


@pytest.mark.parametrize(("architecture", "blocks"), [("gpt2", 2), ("block", 1)])
def test_a_block_more_is_taken_only_if_the_model_becomes_smaller(architecture, blocks):
    found = compiled("modular", architecture=architecture)
    assert found.model.shape.n_layer == blocks
    assert ("keep one period" in [stage.name for stage in found.stages]) is (blocks == 2)
