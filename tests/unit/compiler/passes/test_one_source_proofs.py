"""Selections that surely find one source: what is proved, and what must not be."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from short_texts import after, every_text, kinds, setting_of

from handcraft import Prompts, Selection, lookup, select
from handcraft.compiler.passes.proofs import finds_one

CAUSAL = Prompts("abc", context=4)
BOTH_WAYS = Prompts("abc", context=4, causal=False)


def proved(selection: Selection) -> bool:
    """Whether it is proved; a proof is right on every short text."""
    is_proved = finds_one(selection.sources, setting_of(selection.prompts))
    if is_proved:
        count = selection.count()
        for text in every_text(selection.prompts):
            assert set(count.trace(text)) == {1}, text
    return is_proved


def length(prompts: Prompts):
    return prompts.everything.count()


def told_apart(prompts: Prompts):
    """A key that no two positions share."""
    return lookup(lambda x, i: 4 * "bac".index(x) + i, prompts.token, prompts.position)


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
def test_this_position_and_the_first_are_always_there(prompts):
    assert proved(select(prompts.position, prompts.position))
    assert proved(select(prompts.position, 0))
    assert proved(select(prompts.position, prompts.position // 2))


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
def test_a_position_that_a_short_text_does_not_have_is_not_proved(prompts):
    assert not proved(select(prompts.position, 1))
    assert not proved(select(prompts.position, prompts.position - 1))
    assert not proved(select(prompts.position, prompts.position + 1))


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
def test_the_last_position_and_the_opposite_one_are_always_there(prompts):
    assert proved(select(prompts.position, length(prompts) - 1))
    assert proved(select(prompts.position, length(prompts) - 1 - prompts.position))


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
def test_a_position_past_the_end_is_not_proved(prompts):
    assert not proved(select(prompts.position, length(prompts)))
    assert not proved(select(prompts.position, length(prompts) - prompts.position))


def test_a_position_from_another_count_is_not_proved():
    seen = select(CAUSAL.token, CAUSAL.token).count()
    assert not proved(select(CAUSAL.position, seen - 1))


def test_a_position_that_depends_on_the_token_is_not_proved():
    place = CAUSAL.token.map({"a": 0, "b": 0, "c": 1})
    assert not proved(select(CAUSAL.position, place))


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
@pytest.mark.parametrize("twice", [False, True])
def test_sums_are_proved_exactly_where_every_length_and_position_lies_within(prompts, twice):
    for of_position, of_length, constant in product((-2, -1, 0, 1, Fraction(1, 2)), repeat=3):
        place = prompts.position * of_position + length(prompts) * of_length + constant
        place = place + prompts.position % 2 if twice else place
        is_within = all(
            0 <= value < len(text) for text in every_text(prompts) for value in place.trace(text)
        ) and all(isinstance(value, int) for text in every_text(prompts) for value in place.trace(text))
        assert proved(select(prompts.position, place)) == is_within, place


def test_a_sum_that_is_whole_only_together_is_proved():
    half = lookup(lambda i: Fraction(i, 2), BOTH_WAYS.position)
    assert proved(select(BOTH_WAYS.position, half + BOTH_WAYS.position % 2 - half))


@pytest.mark.parametrize("causal", [False, True])
def test_sums_are_proved_in_long_contexts(causal):
    long = Prompts("ab", context=1024, causal=causal)
    for place in (length(long) - 1 - long.position, length(long) - 1, long.position // 2):
        assert finds_one(select(long.position, place).sources, setting_of(long))
    for place in (length(long) - long.position, long.position + 1):
        assert not finds_one(select(long.position, place).sources, setting_of(long))


def test_other_functions_of_position_and_length_are_not_tried_in_long_contexts():
    for context in (100, 200):
        long = Prompts("ab", context=context, causal=False)
        middle = lookup(lambda i, n: min(i, n // 2), long.position, length(long))
        found = finds_one(select(long.position, middle).sources, setting_of(long))
        assert found == (context == 100)


def test_what_an_assumption_excludes_need_not_be_within():
    early = BOTH_WAYS.position.assume([0, 1])
    for place, is_within in ((early * 3 - early % 2 * 2, True), (1 - early, False)):
        sources = select(BOTH_WAYS.position, place).sources
        assert finds_one(sources, setting_of(BOTH_WAYS)) == is_within


@pytest.mark.parametrize("relation", ["<", ">"])
def test_the_rank_among_different_keys_takes_every_place_once(relation):
    key = told_apart(BOTH_WAYS)
    assert proved(select(select(key, key, relation).count(), BOTH_WAYS.position))


def test_the_rank_by_position_alone_takes_every_place_once():
    i = BOTH_WAYS.position
    assert proved(select(select(i, i, ">").count(), i))


NOT_ALL_PLACES = {
    "keys that may be equal": lambda u, t, i: select(select(t.map(ord), t.map(ord), "<").count(), i),
    "a count from 1": lambda u, t, i: select(select(u, u, "<=").count(), i),
    "another relation": lambda u, t, i: select(select(u, u, "<").count(), i, "<="),
    "another query": lambda u, t, i: select(select(u, u, "<").count(), i + 1),
    "a rank less 1": lambda u, t, i: select(select(u, u, "<").count() - 1, i),
    "keys beside other queries": lambda u, t, i: select(select(u, u + 1, "<").count(), i),
    "two conditions": lambda u, t, i: select(select(u, u, "<").count(), i) & select(t, t),
    "either of two": lambda u, t, i: select(select(u, u, "<").count(), i) | select(t, "a"),
    "no count": lambda u, t, i: select(u % 4, i),
}


@pytest.mark.parametrize("choose", NOT_ALL_PLACES.values(), ids=NOT_ALL_PLACES)
def test_what_is_no_rank_among_all_is_not_proved(choose):
    assert not proved(choose(told_apart(BOTH_WAYS), BOTH_WAYS.token, BOTH_WAYS.position))


def test_a_rank_is_not_proved_where_later_positions_are_not_seen():
    key = told_apart(CAUSAL)
    assert not proved(select(select(key, key, "<").count(), CAUSAL.position))


def test_what_is_proved_needs_no_default():
    opposite = select(BOTH_WAYS.position, length(BOTH_WAYS) - 1 - BOTH_WAYS.position)
    (node,) = after("fuse tables", opposite.latest(BOTH_WAYS.token, default="a"))
    assert kinds(node)["Attend"] == 2, "one head brings the length, one the token"


def test_what_is_proved_surely_exists():
    opposite = select(BOTH_WAYS.position, length(BOTH_WAYS) - 1 - BOTH_WAYS.position)
    (node,) = after("lower aggregates", opposite.exists())
    assert kinds(node) == {"Constant": 1}
