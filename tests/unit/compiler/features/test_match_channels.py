"""Conditions of heads in a rotary model: a score of 0 where they hold, and less everywhere else."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from short_texts import read

from handcraft import Prompts
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.scores.match_channels import match_channels
from handcraft.compiler.features.scores.score_terms import Channel
from handcraft.language.graph.node import Comparison, Match, Node

WORDS = [f"word{i}" for i in range(20)]
PROMPTS = Prompts(WORDS, context=4)
KEY = PROMPTS.token.node
QUERY = PROMPTS.token.map(lambda word: 3 * int(word[4:]) % 40).node
NUMBER = PROMPTS.token.map(lambda word: int(word[4:])).node


def channels(match: Match, **options: bool) -> list[Channel]:
    """The channels of a condition, each of whose products is 0 or -1, and whose sum decides it."""
    found = match_channels(match, Features(normed=True, **options))
    for there, here in product(WORDS, WORDS):
        queries = [read(channel.query, {"token": here}) for channel in found]
        keys = [read(channel.key, {"token": there}) for channel in found]
        assert set(queries) <= {0, 1}
        assert set(keys) <= {0, -1}
        matches = match.holds(_value(match.key, there), _value(match.query, here))
        score = sum(q * k for q, k in zip(queries, keys, strict=True))
        assert (score == 0) is matches, (there, here)
    return found


def _value(node: Node, word: str) -> object:
    return node.table[(word,)] if node.children else word


@given(
    pairs=st.sets(st.tuples(st.sampled_from(WORDS), st.sampled_from(QUERY.domain.values))),
    in_bits=st.booleans(),
)
def test_any_relation_takes_a_channel_for_each_set_of_keys(pairs, in_bits):
    found = channels(Match(KEY, QUERY, frozenset(pairs)), in_bits=in_bits)
    matching = {frozenset(k for k, q in pairs if q == query) for query in QUERY.domain.values}
    assert len(found) == len(matching - {frozenset(WORDS)})


def test_equal_values_take_two_channels_for_each_bit():
    assert len(channels(Match(KEY, KEY, Comparison.EQ))) == 2 * 5
    assert len(channels(Match(NUMBER, NUMBER, Comparison.EQ))) == 2 * 5


def test_a_query_that_is_no_key_matches_nothing_by_one_channel_more():
    assert len(channels(Match(NUMBER, QUERY, Comparison.EQ))) == 2 * 5 + 1


def test_few_keys_take_a_channel_each():
    few = PROMPTS.token.map(lambda word: int(word[4:]) % 3).node
    assert len(channels(Match(few, few, Comparison.EQ))) == 3


def test_orders_and_inequality_take_a_channel_for_each_query_that_excludes_keys():
    assert len(channels(Match(NUMBER, NUMBER, Comparison.LEQ))) == len(WORDS) - 1
    assert len(channels(Match(NUMBER, NUMBER, Comparison.LT))) == len(WORDS)
    assert len(channels(Match(KEY, KEY, Comparison.NEQ))) == len(WORDS)


def test_what_always_holds_takes_no_channel_and_what_never_does_takes_one():
    assert channels(Match(KEY, KEY, frozenset(product(WORDS, WORDS)))) == []
    (never,) = channels(Match(KEY, KEY, frozenset()))
    assert (never.query.terms, never.key.terms) == ((), ())
