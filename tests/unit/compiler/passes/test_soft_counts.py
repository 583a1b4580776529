"""Counts by one head of soft attention: weights of position 0 distinguish counts."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from short_texts import assert_same
from sweeps import sweep

from handcraft import Prompts, select
from handcraft.compiler import compile_sequences
from handcraft.compiler.passes.aggregates.lower_aggregates import lower_aggregates
from handcraft.compiler.passes.aggregates.soft_counts import LARGEST_WEIGHT, base_for, points
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.ir import Attend
from handcraft.language.graph.node import walk


@given(st.integers(1, 20), st.integers(1, 4))
def test_no_two_counts_have_an_attention_weight_in_common(context, conditions):
    base = base_for(context, conditions) or 2 * context
    found = points(context, conditions, base)
    assert all(before.high < after.low for before, after in pairwise(found))
    assert len(found) == conditions * (context - 1) + context


@given(st.integers(1, 8), st.integers(1, 3), st.data())
def test_the_attention_weight_in_any_text_is_between_the_bounds_of_its_count(context, conditions, data):
    base = base_for(context, conditions)
    failed = data.draw(st.lists(st.integers(0, conditions), min_size=1, max_size=context))
    count = failed.count(0)
    assume(count)
    weights = [1 / base**each for each in failed]
    weights[0] *= base**conditions
    weight = weights[0] / sum(weights)
    near = [p for p in points(context, conditions, base) if p.low - 1e-9 <= weight <= p.high + 1e-9]
    assert [p.matching for p in near] == [count]


def test_position_0_never_weighs_too_much():
    assert base_for(64, 2) ** 2 <= LARGEST_WEIGHT
    assert base_for(65, 2) == 0


CONDITIONS = {
    1: lambda t: select(t, t),
    2: lambda t: select(t, t) & select(t.map(RANKS), t.map(RANKS), "<="),
    3: lambda t: (
        select(t, t) & select(t.map(RANKS), t.map(RANKS), "<=") & select(t.map(ODD), t.map(ODD))
    ),
}
RANKS = {"a": 0, "b": 2, "c": 1, "d": 2, "e": 4}
ODD = {"a": 0, "b": 1, "c": 0, "d": 1, "e": 0}


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both ways"])
@pytest.mark.parametrize(
    ("conditions", "context"), [(1, 2), (1, 65), (1, 130), (2, 13), (2, 64), (3, 8)]
)
def test_soft_counts_are_exact_at_every_length_and_number_of_conditions(conditions, context, causal):
    prompts = Prompts("abcde", context=context, causal=causal)
    expression = CONDITIONS[conditions](prompts.token).count()
    model = compile_sequences({"count": expression})
    (head,) = model.circuits.blocks[0].heads
    assert head.attends.base
    chosen = Random(context)
    for _ in range(sweep(8)):
        some = "abcde"[: chosen.randint(1, 5)]
        text = "".join(chosen.choices(some, k=chosen.choice([context, chosen.randint(1, context)])))
        assert model.apply([text])["count"] == [expression.trace(text)]


def test_narrow_dtypes_count_by_hard_attention():
    prompts = Prompts("abcde", context=4)
    model = compile_sequences({"n": select(prompts.token, prompts.token).count()}, dtype="bfloat16")
    assert [head.attends.base for head in model.circuits.blocks[0].heads] == [None, None]


@pytest.mark.parametrize("conditions", CONDITIONS)
def test_soft_attention_weights_are_of_their_domain(conditions):
    prompts = Prompts("abc", context=3)
    expression = CONDITIONS[conditions](prompts.token).count()
    setting = Setting(3, causal=True, soft=True)
    nodes = lower_aggregates([expression.node], setting)
    assert any(isinstance(node, Attend) and node.base for node in walk(*nodes))
    assert_same(prompts, [expression.node], nodes)
