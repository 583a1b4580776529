"""What page.mjs says that rules mean, for random programs: exactly what they mean here."""

import json
import os
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from assuming_programs import assuming_programs
from hypothesis import HealthCheck, assume, given, reject, settings

from handcraft import Program, Prompts, predict, select
from handcraft.errors import AssumptionError
from handcraft.language.rules.read_rules import UncoveredError
from handcraft.page.data import exact
from handcraft.proofs import statement_of
from handcraft.testing import rule_programs, sequence_programs

from .pages import in_node, needs_node

pytestmark = needs_node

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "6"))
TEXTS = 20
"""So many texts of a length are tried at most."""

UNCHECKED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]

slow = settings(max_examples=EXAMPLES, suppress_health_check=UNCHECKED)


def assert_means_the_same(programs, folder, further=0):
    """All texts of some programs in one run of node; of pattern programs also some tokens longer."""
    cases, expected = [], []
    for program in programs:
        wide = program.widened(program.context + further) if further else program
        stated = statement_of(wide)
        texts = []
        for length in range(1, program.context + further + 1):
            every = list(product(range(len(program.vocabulary)), repeat=length))
            texts += np.random.default_rng(0).permutation(every)[:TEXTS].tolist()
        tokens = program.vocabulary.tokens
        meaning = {"contexts": stated["contexts"], **exact(stated["meaning"])}
        cases.append({"meaning": meaning, "texts": [[tokens[i] for i in text] for text in texts]})
        expected.append(
            [right(program if len(text) <= program.context else wide, text) for text in texts]
        )
    found = in_node(folder, cases=json.loads(json.dumps(cases)))["cases"]
    for case, answers, wanted in zip(cases, found, expected, strict=True):
        for text, answer, tokens in zip(case["texts"], answers, wanted, strict=True):
            given = None if any(answer["broken"]) else set(answer["right"][-1])
            assert given == tokens, text


def right(program, text):
    """The most likely tokens after a text; None where it breaks an assumption."""
    try:
        shares = program._reading.distribution(text)
    except AssumptionError:
        return None
    most = max(shares.values())
    return {token for token, share in shares.items() if share == most}


@slow
@given(program=rule_programs(max_tokens=4, max_context=6, max_rules=8))
def test_of_rules_with_patterns(program, tmp_path):
    assert_means_the_same([program], tmp_path)


@slow
@given(program=rule_programs(max_tokens=3, max_context=4, max_rules=6))
def test_of_patterns_after_texts_that_are_longer_than_the_program(program, tmp_path):
    assume(program.has_only_patterns)
    try:
        program.widened(program.context + 2)
    except UncoveredError:
        reject()
    assert_means_the_same([program], tmp_path, further=2)


@slow
@given(program=sequence_programs(depth=3))
def test_of_rules_over_expressions(program, tmp_path):
    assert_means_the_same([program], tmp_path)


@slow
@given(program=sequence_programs(depth=3, causal=False))
def test_of_rules_without_a_mask(program, tmp_path):
    assert_means_the_same([program], tmp_path)


@slow
@given(program=assuming_programs())
def test_of_texts_that_break_an_assumption(program, tmp_path):
    assert_means_the_same([program], tmp_path)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("relation", ["==", "!=", "<", ">=", lambda key, query: (key + query) % 2 == 0])
def test_of_every_aggregate_also_of_numbers_beyond_float64(relation, causal, tmp_path):
    prompts = Prompts("abc", context=4, causal=causal)
    token, position = prompts.token, prompts.position
    number = token.map({"a": 0, "b": 1, "c": 2})
    chosen = select(number, number + position / 2 if isinstance(relation, str) else position, relation)
    numbers = [
        chosen.latest(number, default=7),
        chosen.earliest(position, default=3),
        chosen.mean(number / 3 + position, default=7),
        chosen.mean(number * 2**70 + 1, default=7) / 2**70,
        chosen.mean(number == 1, default=7),
        chosen.count(),
    ]
    programs = []
    for aggregate in numbers:
        rules = [predict("b").when(aggregate > 1), predict("c").when(aggregate > Fraction(1, 2))]
        programs.append(Program(prompts=prompts, rules=[*rules, predict("a").otherwise()]))
    rules = [predict("b").when(chosen.exists()), predict(chosen.latest(token, default="b")).otherwise()]
    assert_means_the_same([*programs, Program(prompts=prompts, rules=rules)], tmp_path)
