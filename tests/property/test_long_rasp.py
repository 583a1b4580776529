"""Long chains of RASP: thousands of operators are shown, run and compiled, or refused in words."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handcraft.errors import HandcraftError
from handcraft.rasp import (
    Aggregate,
    Comparison,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
    compile,
    evaluate,
    indices,
    tokens,
)
from handcraft.rasp.lowering.build import build

EQUAL = Select(tokens, tokens, Comparison.EQ)
BEFORE = Select(indices, indices, Comparison.LEQ)

SEQUENCES = [
    lambda x: Map(lambda value: (value + 1) % 3, x),
    lambda x: SequenceMap(lambda one, other: (one + other) % 3, x, x),
    lambda x: SequenceMap(lambda one, other: (one + other) % 3, x, indices),
    lambda x: Aggregate(Select(indices, indices, Comparison.EQ), x, default=0),
    lambda x: x + 1,
    lambda x: x.named("x"),
]
SELECTORS = [
    lambda s: s & BEFORE,
    lambda s: s | EQUAL,
    lambda s: ~s,
    lambda s: ~(s & s),
    lambda s: ~(s | BEFORE),
]
LONG = 1_000


def chain(start, links):
    return reduce(lambda made, i: links[i % len(links)](made), range(LONG), start)


def attempt(make):
    """What is made, or the error in three parts that refuses it."""
    try:
        return make()
    except HandcraftError as error:
        refused = error
    assert refused.fix
    assert len(str(refused)) < 2_000
    return None


@settings(max_examples=6, deadline=None)
@given(st.lists(st.sampled_from(SEQUENCES), min_size=1, max_size=3))
def test_a_long_sequence_is_shown_and_run_and_built_or_refused(links):
    made = chain(indices, links)
    assert len(str(made)) + len(repr(made)) < 2_000
    meant = evaluate(made, "ab")
    built = attempt(lambda: build(made, "ab", 2))
    assert built is None or built.trace("ab") == meant


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(SELECTORS), min_size=1, max_size=3))
def test_a_long_selector_is_shown_and_run_and_built_or_refused(links):
    made = SelectorWidth(chain(EQUAL, links))
    assert len(str(made)) + len(repr(made)) < 2_000
    meant = evaluate(made, "aba")
    built = attempt(lambda: build(made, "ab", 3))
    assert built is None or built.trace("aba") == meant


@given(st.lists(st.sampled_from(SELECTORS), max_size=8))
def test_a_selector_or_its_opposite_selects_each_source(links):
    made = reduce(lambda selector, link: link(selector), links, EQUAL)
    one, other, again = (evaluate(each, "aba") for each in (made, ~made, ~~made))
    assert one == again == [[not selected for selected in row] for row in other]


@pytest.mark.parametrize("link", [SEQUENCES[0], SEQUENCES[1]])
def test_a_long_sequence_compiles(link):
    made = chain(indices, [link])
    assert compile(made, "ab", 2).apply("ab") == evaluate(made, "ab")
