"""What the checker reads out of a certificate is what the program means, on every text."""

from __future__ import annotations

import json
import os
import runpy
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path
from random import Random
from unittest.mock import patch

import numpy as np
import pytest
from assuming_programs import RELATIONS, aggregating_programs, assuming_programs
from hypothesis import HealthCheck, given, settings
from sweeps import sweep

from handcraft import Program, Prompts, predict
from handcraft.errors import AssumptionError
from handcraft.proofs import statement_of
from handcraft.testing import rule_programs, sequence_programs
from handcraft_check.program.meaning import BROKEN, Meaning

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
with patch.object(sys, "path", [str(BENCHMARKS), *sys.path]):
    KINDS = runpy.run_path(str(BENCHMARKS / "random_programs.py"))["KINDS"]

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "12"))

slow = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

TEXTS = 40
"""So many texts of a length are tried at most."""


def meaning_of(program):
    stated = json.loads(json.dumps(statement_of(program)))
    causal = stated["contexts"]["causal"]
    return Meaning.read(stated["meaning"], program.vocabulary.tokens, causal=causal)


def texts_of(size, length):
    every = np.array(list(product(range(size), repeat=length)))
    return every[np.random.default_rng(0).permutation(len(every))[:TEXTS]]


def read(meaning, texts):
    """For each text its distribution, by token; None where it breaks an assumption."""
    found = meaning.answers(texts)
    tokens = meaning.vocabulary
    for token, shares in zip(found.token.tolist(), found.distribution.tolist(), strict=True):
        if token == BROKEN:
            assert shares == -1
            yield None
        elif token == -1:
            yield {tokens[place]: share for place, share in found.distributions[shares].items()}
        else:
            assert shares == -1
            yield {tokens[token]: Fraction(1)}


def assert_means_the_same(program):
    meaning = meaning_of(program)
    for length in range(1, program.context + 1):
        texts = texts_of(len(program.vocabulary), length)
        for text, found in zip(texts.tolist(), read(meaning, texts), strict=True):
            try:
                expected = dict(program._reading.distribution(text))
            except AssumptionError:
                expected = None
            assert found == expected


@slow
@given(rule_programs(max_tokens=4, max_context=6, max_rules=8))
def test_of_rules_with_patterns(program):
    assert_means_the_same(program)


@slow
@given(sequence_programs(depth=3))
def test_of_rules_over_expressions(program):
    assert_means_the_same(program)


@slow
@given(sequence_programs(depth=3, causal=False))
def test_of_rules_without_a_mask(program):
    assert_means_the_same(program)


@slow
@given(assuming_programs())
def test_of_texts_that_break_an_assumption(program):
    assert_means_the_same(program)


@pytest.mark.parametrize("number", range(sweep(24)))
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("values", "RASP")])
def test_of_programs_that_are_judged_by_plain_python(kind, number):
    random = Random(f"certified {kind} {number}")
    case = KINDS[kind](random)
    meaning, places = meaning_of(case.source), {t: i for i, t in enumerate(case.vocabulary)}
    for texts in case.texts(random).values():
        lengths = range(case.shortest, len(texts[0]) + 1) if case.causal else [len(texts[0])]
        for length in lengths:
            ids = np.array([[places[token] for token in text[:length]] for text in texts])
            for text, found in zip(texts, read(meaning, ids), strict=True):
                right = case.meaning(text[:length])[-1]
                expected = right if isinstance(right, dict) else {right: 1}
                assert found == {token: share for token, share in expected.items() if share}


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("relation", RELATIONS)
def test_of_every_aggregate(relation, causal):
    for program in aggregating_programs(relation, causal):
        assert_means_the_same(program)


def test_of_labels_that_are_no_texts():
    prompts = Prompts("ab", context=3)
    pair = prompts.token.map({"a": ("x", 1), "b": "('x', 1)"})
    before = pair.at(-1, default=("x", 1))
    rules = [predict("b").when(pair == before), predict("a").otherwise()]
    assert_means_the_same(Program(prompts=prompts, rules=rules))
