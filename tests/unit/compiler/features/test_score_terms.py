"""Conditions as channels: query times key is highest where the condition holds, and by how much."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from short_texts import read

from handcraft import Prompts
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.scores import score_terms as channels
from handcraft.compiler.features.scores.score_terms import ScoreTerms, nearest, score_terms
from handcraft.errors import CompileError
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Comparison, Match, Node

PROMPTS = Prompts("abcdefgh", context=12, causal=False)
TOKEN, POSITION = PROMPTS.token.node, PROMPTS.position.node
WORTH = PROMPTS.token.map(ord).node

FAR = 1 << 16
"""Squares of all numbers here fit."""


def source_of(node: Node) -> Node:
    """The token or the position that a key or a query is computed from."""
    return node.children[0] if node.children else node


def scores(terms: ScoreTerms, match: Match) -> dict[tuple[Value, Value], object]:
    """For every value at the source and every value at the destination, the score."""
    key, query = source_of(match.key), source_of(match.query)
    return {
        (there, here): sum(
            read(channel.query, {str(query): here}) * read(channel.key, {str(key): there})
            for channel in terms.channels
        )
        for there, here in product(key.domain.values, query.domain.values)
    }


def holds(match: Match, there: Value, here: Value) -> bool:
    key = match.key.table[(there,)] if match.key.children else there
    query = match.query.table[(here,)] if match.query.children else here
    return match.holds(key, query)


def assert_met(terms: ScoreTerms, match: Match, *, flat: bool = False) -> None:
    """Assert that at every destination failures are worse than successes by the gap."""
    found = scores(terms, match)
    for here in source_of(match.query).domain.values:
        row = {there: found[there, here] for there in source_of(match.key).domain.values}
        good = {row[there] for there in row if holds(match, there, here)}
        bad = {row[there] for there in row if not holds(match, there, here)}
        assert len(good) <= 1, "sources that are selected share evenly"
        if good and bad:
            assert max(bad) <= max(good) - terms.gap
            if flat:
                assert bad == {max(good) - terms.gap}
        if good and terms.most is not None:
            assert good == {terms.most}, "with the constants of keys"


RELATIONS = {
    "equal positions": Match(POSITION, POSITION, Comparison.EQ),
    "one back": Match(POSITION, PROMPTS.position.map(lambda n: n - 1).node, Comparison.EQ),
    "earlier": Match(POSITION, POSITION, Comparison.LT),
    "other tokens": Match(TOKEN, TOKEN, Comparison.NEQ),
    "equal tokens": Match(TOKEN, TOKEN, Comparison.EQ),
    "equal numbers": Match(WORTH, WORTH, Comparison.EQ),
    "a pair or two": Match(TOKEN, POSITION, frozenset({("a", 3), ("b", 3), ("h", 0)})),
    "parity": Match(
        POSITION, POSITION, frozenset(p for p in product(range(12), repeat=2) if sum(p) % 2)
    ),
}


@pytest.mark.parametrize("normed", [False, True], ids=["block", "behind LayerNorm"])
@pytest.mark.parametrize("flat", [False, True], ids=["any", "flat"])
@pytest.mark.parametrize("largest", [0, FAR], ids=["small weights", "large weights"])
@pytest.mark.parametrize("match", RELATIONS.values(), ids=RELATIONS)
def test_scores_of_every_kind_of_condition_have_its_gap(match, largest, flat, normed):
    terms = score_terms(match, Features(normed=normed), flat=flat, largest=largest)
    assert_met(terms, match, flat=flat)


@pytest.mark.parametrize("match", RELATIONS.values(), ids=RELATIONS)
def test_in_bits_no_score_is_larger_or_costs_more_than_is_stated(match):
    terms = score_terms(match, Features(normed=True, in_bits=True), flat=False, largest=FAR)
    assert_met(terms, match)
    found = scores(terms, match)
    for here in source_of(match.query).domain.values:
        row = {there: found[there, here] for there in source_of(match.key).domain.values}
        good = [row[there] for there in row if holds(match, there, here)]
        assert not good or min(row.values()) >= good[0] - terms.cost
    assert max(map(abs, found.values())) <= terms.reach


def test_equal_numbers_meet_on_a_parabola_of_two_channels():
    terms = score_terms(RELATIONS["equal positions"], Features(), flat=False, largest=FAR)
    assert len(terms.channels) == 2


def test_where_squares_are_too_large_equal_values_meet_bit_by_bit():
    terms = score_terms(RELATIONS["equal positions"], Features(), flat=False, largest=8)
    assert (len(terms.channels), terms.gap) == (4, 2)


def test_where_all_failures_must_cost_the_same_there_is_a_channel_for_each_value():
    terms = score_terms(RELATIONS["equal positions"], Features(), flat=True, largest=FAR)
    assert len(terms.channels) == 12


def test_a_condition_with_few_different_rows_takes_a_channel_for_each():
    assert len(score_terms(RELATIONS["parity"], Features(), flat=True, largest=0).channels) == 2
    assert len(score_terms(RELATIONS["a pair or two"], Features(), flat=True, largest=0).channels) == 2


def test_an_order_takes_a_channel_for_each_value_but_one():
    assert len(score_terms(RELATIONS["earlier"], Features(), flat=False, largest=FAR).channels) == 11


def test_a_constant_query_takes_one_channel():
    asked = PROMPTS.constant("c").node
    terms = score_terms(Match(TOKEN, asked, Comparison.EQ), Features(), flat=False, largest=FAR)
    (channel,) = terms.channels
    assert (channel.query.terms, channel.query.constant) == ((), 1)
    assert {read(channel.key, {"token": t}) for t in "abdefgh"} == {0}


def test_two_values_take_a_channel_each():
    flag = (PROMPTS.token == "a").node
    terms = score_terms(Match(flag, flag, Comparison.EQ), Features(), flat=False, largest=FAR)
    assert len(terms.channels) == 2


def test_after_layernorm_selected_sources_have_a_score_of_0_that_no_scale_can_change():
    match = RELATIONS["equal tokens"]
    terms = score_terms(match, Features(normed=True), flat=True, largest=FAR)
    found = scores(terms, match)
    assert {score for (there, here), score in found.items() if there == here} == {0}
    assert {score for (there, here), score in found.items() if there != here} == {-1}
    for channel in terms.channels:
        assert channel.query.constant == 0, "a constant and what cancels it would be scaled apart"


def test_queries_that_are_no_key_meet_none():
    asked = PROMPTS.position.map(lambda n: n - 3).node
    for largest in (0, FAR):
        match = Match(POSITION, asked, Comparison.EQ)
        assert_met(score_terms(match, Features(), flat=False, largest=largest), match)


def test_too_many_channels_are_refused(monkeypatch):
    monkeypatch.setattr(channels, "ROWS_UP_TO", 7)
    with pytest.raises(CompileError, match=r"selecting `token` by `token` takes 8 channels"):
        score_terms(RELATIONS["equal tokens"], Features(), flat=True, largest=FAR)


@given(st.sets(st.sampled_from(list(product("abcdefgh", range(12))))), st.booleans(), st.booleans())
def test_any_relation_is_met(pairs, flat, normed):
    match = Match(TOKEN, POSITION, frozenset(pairs))
    assert_met(score_terms(match, Features(normed=normed), flat=flat, largest=FAR), match)


@given(st.sets(st.fractions(-9, 9, max_denominator=6), min_size=1), st.fractions(-12, 12))
def test_a_query_that_is_no_key_selects_the_nearest_and_of_two_the_first(keys, query):
    ordered = sorted(keys)
    distances = [abs(key - query) for key in ordered]
    assert nearest(query, ordered) == distances.index(min(distances))


def test_a_label_that_is_no_key_selects_the_first():
    assert nearest("x", ["a", "b"]) == 0
    assert nearest(1, ["a", "b"]) == 0


def test_positions_are_not_on_a_parabola_where_a_query_is_as_near_to_two():
    halves = PROMPTS.position.map(lambda n: Fraction(n, 2)).node
    thirds = PROMPTS.token.map(lambda token: Fraction(ord(token), 3)).node
    assert not channels.is_on_parabola(Match(POSITION, halves, Comparison.EQ), FAR)
    assert channels.is_on_parabola(Match(thirds, thirds, Comparison.EQ), FAR)
    assert channels.is_on_parabola(Match(POSITION, POSITION, Comparison.EQ), FAR)
