"""Weighted sums over positions: what they come to, as themselves, added up and multiplied."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from handcraft.compiler.passes.ir import StepFunction, Threshold, WeightedSum, note_slots
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.language.graph.domain import finite
from handcraft.language.graph.node import Embedded, Lookup, Node
from handcraft.language.graph.wording import reads

LENGTH = 4
TOKEN = Embedded(finite("abc"), reads("token"), "token")
NUMBER = Lookup(finite((-1, 0, 5)), reads("number"), (TOKEN,), {("a",): 5, ("b",): -1, ("c",): 0})
WEIGHTS = st.fractions(-2, 2, max_denominator=4).filter(bool)


@st.composite
def weighted_sums(draw: st.DrawFn) -> WeightedSum:
    """Read at the last two positions, from any positions up to there."""
    rows = []
    for here in (2, 3):
        row = draw(st.dictionaries(st.integers(0, here), WEIGHTS, max_size=3))
        rows.append((here, tuple(sorted(row.items()))))
    return WeightedSum.of(NUMBER, rows, TOKEN)


@given(weighted_sums(), weighted_sums(), WEIGHTS, st.text("abc", min_size=LENGTH, max_size=LENGTH))
def test_sums_and_multiples_come_to_what_their_parts_do(one, other, factor, text):
    both = one.plus(other.times(factor))
    *parts, total = run_nodes([one, other, both], list(text), causal=True)
    assert list(total) == [a + factor * b for a, b in zip(*parts, strict=True)]
    assert all(number in both.domain for number in total)


@given(weighted_sums())
def test_the_total_is_that_of_every_row_or_none(node):
    totals = {sum((weight for _, weight in row), start=Fraction(0)) for _, row in node.rows}
    assert node.total == (totals.pop() if len(totals) == 1 else None)


@given(weighted_sums())
def test_a_sum_says_of_every_row_whether_its_sources_are_few_positive_and_here(node):
    assert node.is_single == ({len(row) for _, row in node.rows} == {1})
    assert node.is_positive == (min((w for _, row in node.rows for _, w in row), default=1) > 0)
    assert node.is_here == all([there for there, _ in row] == [here] for here, row in node.rows)


def test_a_sum_that_is_here_at_one_position_is_not_here_at_all():
    node = WeightedSum.of(NUMBER, [(2, ((2, 1),)), (3, ((0, -1),))], TOKEN)
    assert (node.is_single, node.is_positive, node.is_here) == (True, False, False)


def test_heads_and_neurons_take_turns():
    def weighted(value: Node) -> WeightedSum:
        return WeightedSum.of(value, [(3, ((0, 1),))], TOKEN)

    def step(value: Node) -> StepFunction:
        return StepFunction(finite((0, 1)), reads("step"), (Threshold(((1, value),), 1, 1),), (0, 1))

    inner = step(weighted(NUMBER))
    chain = [NUMBER, weighted(NUMBER), inner, weighted(inner)]
    assert [note_slots(node, {}) for node in chain] == [0, 1, 2, 3]
    assert note_slots(step(inner), {}) == 4
