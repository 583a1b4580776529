"""The oracle over many texts at once says what the plain oracle says of each."""

from __future__ import annotations

import os
from itertools import product

import numpy as np
import pytest
from assuming_programs import assuming_programs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handcraft import Prompts, select, where
from handcraft.errors import AssumptionError
from handcraft.language.graph import attend
from handcraft.language.graph.node import Aggregate, walk
from handcraft.language.oracle import interpret_texts, select_texts
from handcraft.language.oracle.interpret import interpret
from handcraft.language.oracle.interpret_texts import TextsOracle
from handcraft.language.rules.decision import decided
from handcraft.language.rules.expression_rules import UNDEFINED
from handcraft.testing import declared_prompts, expressions, rule_programs, sequence_programs

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "12"))

slow = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

TEXTS = 27
"""So many texts of a length are tried at most."""


def texts_of(size, length):
    every = np.array(list(product(range(size), repeat=length)))
    return every[np.random.default_rng(0).permutation(len(every))[:TEXTS]]


def assert_same(program, lengths):
    for length in lengths:
        texts = texts_of(len(program.vocabulary), length)
        rows, places = np.divmod(np.arange(texts.size), length)
        said = program.answers_at(texts, rows, places).reshape(texts.shape)
        shares = program.probabilities_at(texts, rows, places).reshape(*texts.shape, -1)
        for text, tokens, likely in zip(texts.tolist(), said.tolist(), shares, strict=True):
            assert tokens == program.next_tokens(text)
            if program.has_only_patterns:
                continue
            words = [program.vocabulary.token(i) for i in text]
            decisions = decided(program.decisions, words, causal=program.prompts.causal)
            for (_, meant), found in zip(decisions, likely, strict=True):
                names = program.vocabulary.tokens
                assert found.tolist() == [float(meant.get(name, 0)) for name in names]


@slow
@given(rule_programs(max_tokens=4, max_context=6, max_rules=8))
def test_of_rules_with_patterns(program):
    assert_same(program, range(1, program.context + 3))


@slow
@given(sequence_programs(depth=3, distributions=True))
def test_of_rules_over_expressions(program):
    assert_same(program, range(1, program.context + 1))


@slow
@given(sequence_programs(depth=3, causal=False))
def test_of_rules_without_a_mask(program):
    assert_same(program, range(1, program.context + 1))


@st.composite
def wide_expressions(draw):
    prompts = draw(declared_prompts(causal=draw(st.booleans())))
    return draw(expressions(prompts, depth=draw(st.integers(1, 6)), wide=True))


def assert_same_values(expression):
    prompts = expression.prompts
    oracle = TextsOracle([expression.node], prompts.vocabulary.tokens, causal=prompts.causal)
    for length in range(1, prompts.context + 1):  # the later ones with the tables of the earlier ones
        texts = texts_of(len(prompts.vocabulary), length)
        computed = oracle.compute(texts)
        codes = np.broadcast_to(computed.codes[expression.node], texts.shape)
        values = computed.values[expression.node].values
        for text, row in zip(texts.tolist(), codes.tolist(), strict=True):
            said = tuple(values[code] for code in row)
            meant = expression.trace([prompts.vocabulary.token(token) for token in text])
            assert said == meant
            assert [type(value) for value in said] == [type(value) for value in meant]


@slow
@given(wide_expressions())
def test_of_every_value_of_an_expression(expression):
    assert_same_values(expression)


@pytest.mark.parametrize("causal", [True, False])
def test_of_a_count_that_reads_nothing(causal):
    assert_same_values(Prompts("ab", context=4, causal=causal).everything.count())


@slow
@given(wide_expressions())
def test_of_where_a_selection_selects_a_source(expression):
    prompts = expression.prompts
    oracle = TextsOracle([expression.node], prompts.vocabulary.tokens, causal=prompts.causal)
    texts = texts_of(len(prompts.vocabulary), prompts.context)
    selects = oracle.compute(texts).selects
    for node in walk(expression.node):
        if isinstance(node, Aggregate):
            exists = attend.aggregate(node.sources, "exists", None, attend.NONE, node.text, 9)
            for text, row in zip(texts, np.broadcast_to(selects[node], texts.shape), strict=True):
                tokens = [prompts.vocabulary.token(token) for token in text.tolist()]
                (meant,) = interpret([exists], tokens, causal=prompts.causal)
                assert row.tolist() == list(meant)


@pytest.mark.parametrize(
    ("module", "limit", "number"),
    [
        (interpret_texts, "LARGEST", 1),
        (select_texts, "LARGEST", 1),
        (interpret_texts, "TABLE_UP_TO", 1),
        (interpret_texts, "KEPT_UP_TO", 1),
    ],
    ids=["sums", "means", "tables", "memory"],
)
def test_of_every_value_where_arrays_do_not_hold_a_node(module, limit, number):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, limit, number)

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
        @given(wide_expressions())
        def check(expression):
            assert_same_values(expression)

        check()


def test_of_numbers_past_what_int64_holds():
    prompts = Prompts("ab", context=4)
    number = prompts.token.map({"a": 3**39, "b": -(7**25)})
    assert_same_values(number * 10**6 + prompts.position / 3)
    assert_same_values(prompts.everything.mean(number * 10**6))
    assert_same_values(select(prompts.token, prompts.token).mean(number))


@slow
@given(assuming_programs())
def test_of_texts_that_break_an_assumption(program):
    for length in range(1, program.context + 1):
        texts = texts_of(len(program.vocabulary), length)
        rows, places = np.divmod(np.arange(texts.size), length)
        said = program.answers_at(texts, rows, places)
        shares = program.probabilities_at(texts, rows, places)
        for answer, likely, row, place in zip(said, shares, rows, places, strict=True):
            text = texts[row].tolist()
            try:
                meant = program.next_tokens(text[: place + 1] if program.prompts.causal else text)
                assert answer == meant[place]
            except AssumptionError:
                assert answer == UNDEFINED
                assert not likely.any()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("relation", ["==", "!=", "<", ">="])
def test_of_every_way_to_learn_from_other_positions(relation, causal):
    prompts = Prompts("abc", context=4, causal=causal)
    token, position = prompts.token, prompts.position
    number = token.map({"a": 0, "b": 1, "c": 2})
    for chosen in (
        select(number, 1, relation),  # the same sources from everywhere
        select(number, position - 1, relation),
        select(number, number, relation) & select(position, 0, ">"),
        select(number, position, lambda key, query: (key + query) % 2 == 0),
    ):
        assert_same_values(chosen.latest(token, default="b"))
        assert_same_values(chosen.earliest(position, default=3))
        assert_same_values(chosen.mean(number / 3 + position, default=7))
        assert_same_values(chosen.count())
        assert_same_values(chosen.exists())


def test_of_one_condition_in_two_selections_that_read_it_in_different_ways():
    prompts = Prompts("ab", context=4)
    token, before = prompts.token, prompts.token.at(-1, default="a")
    fixed = select(token, "b")  # found at once for all destinations
    followed = fixed & select(token, before)
    assert_same_values(where(fixed.exists(), followed.latest(before, default="a"), "b"))
