"""A certificate read back says of every prompt what its program says: states, values and answers."""

from __future__ import annotations

import json
import os
import runpy
import sys
import warnings
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from unittest.mock import patch

import gallery
import pytest
from assuming_programs import assuming_programs
from hypothesis import HealthCheck, given, settings
from sweeps import sweep

from handcraft import Program, Prompts, predict
from handcraft.compiler import compile_sequences
from handcraft.errors import AssumptionError, HandcraftWarning
from handcraft.formats.manifest.convert import Tables
from handcraft.formats.stated_values import stated_values
from handcraft.language.graph.domain import json_value
from handcraft.language.graph.node import Aggregate
from handcraft.language.meaning import Meaning
from handcraft.proofs import NotCertified, Words, read_meaning, statement_of, words_of
from handcraft.proofs.words import ConditionWords
from handcraft.testing import rule_programs, sequence_programs
from handcraft_check.program.meaning import program_hash

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
with patch.object(sys, "path", [str(BENCHMARKS), *sys.path]):
    KINDS = runpy.run_path(str(BENCHMARKS / "random_programs.py"))["KINDS"]

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "12"))

slow = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

TEXTS = 30
"""So many texts are tried at most."""


def read_back(stated, meaning: Meaning) -> Meaning:
    """What a folder says: the statement and the words, each written as JSON and read again."""
    stated = json.loads(json.dumps(stated))
    words = words_of(meaning, program_hash(stated["contexts"], stated["meaning"]))
    written = Tables()
    data = {"words": written.write(words), **written.write_tables()}
    data = json.loads(json.dumps(data))
    tables = Tables()
    tables.read_tables(data)
    return read_meaning(stated, tables.read(data["words"], Words), meaning.promise)


def said(meaning: Meaning, tokens):
    """All that is said of a text, as JSON has it; None where it breaks an assumption."""
    try:
        judged = meaning.judged(tokens)
    except AssumptionError as error:
        return error.what
    return (
        [
            (
                each.number,
                each.origin.what,
                each.origin.place and each.origin.place.short,
                each.predicts,
                each.state,
                [
                    (c.text, c.holds, {k: json_value(v) for k, v in c.reads.items()})
                    for c in each.conditions
                ],
            )
            for each in judged.outcomes
        ],
        [
            (
                str(node),
                node.place and node.place.short,
                node.text.definition and str(node.text.definition),
                tuple(map(json_value, values)),
            )
            for node, values in judged.values.items()
        ],
    )


def assert_says_the_same(program: Program) -> None:
    read = read_back(statement_of(program), program.meant)
    tokens = program.vocabulary.tokens
    texts = [t for n in range(1, program.context + 1) for t in product(tokens, repeat=min(n, 4))]
    for text in Random(0).sample(texts, min(TEXTS, len(texts))):
        assert said(read, text) == said(program.meant, text)
        try:
            answer = program.meant.answer(text)
        except AssumptionError:
            continue
        assert read.answer(text) == answer
    assert [str(o.what) for o in read.written] == [str(rule) for rule in program.rules]
    heads = [node for node in program.meant.order if isinstance(node, Aggregate)]
    again = [node for node in read.order if isinstance(node, Aggregate)]
    assert [node.text.defined for node in again] == [node.text.defined for node in heads]


@slow
@given(rule_programs(max_tokens=4, max_context=6, max_rules=8))
def test_of_rules_with_patterns(program):
    assert_says_the_same(program)


@slow
@given(sequence_programs(depth=3))
def test_of_rules_over_expressions(program):
    assert_says_the_same(program)


@slow
@given(sequence_programs(depth=3, causal=False))
def test_of_rules_without_a_mask(program):
    assert_says_the_same(program)


@slow
@given(assuming_programs())
def test_of_texts_that_break_an_assumption(program):
    assert_says_the_same(program)


@pytest.mark.parametrize("number", range(sweep(12)))
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("values", "RASP")])
def test_of_random_programs_of_every_kind(kind, number):
    assert_says_the_same(KINDS[kind](Random(f"read back {kind} {number}")).source)


@pytest.mark.parametrize("number", range(sweep(6)))
def test_of_random_expressions(number):
    case = KINDS["values"](Random(f"read back values {number}"))
    compiled = compile_sequences(case.source)
    read = read_back(stated_values(compiled), compiled.meant)
    for texts in case.texts(Random(number)).values():
        for text in texts[:TEXTS]:
            assert said(read, text) == said(compiled.meant, text)
    assert list(read.outputs) == list(compiled.meant.outputs)


PROGRAMS = [path.stem for path in sorted(gallery.FOLDER.glob("*.py")) if path.stem != "by_hand"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_of_the_gallery(name):
    program = gallery.facts(name)["program"]
    meaning, read = program.meant, read_back(statement_of(program), program.meant)
    drawn = [row for rows in program.prompts.texts.draw(8, seed=1) for row in rows.tolist()]
    for row in drawn[:8]:
        text = [program.vocabulary.token(place) for place in row]
        assert said(read, text) == said(meaning, text)
    assert str(read.order) == str(meaning.order), "every node, and how it reads"


def test_a_rule_that_never_fires_is_known_by_its_words():
    prompts = Prompts("ab", context=4)
    flag = prompts.token == "a"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        rules = [
            predict("b").when(flag & ~flag),
            predict("a").when(flag),
            predict("b").otherwise(),
            predict("a").when(flag),
        ]
        program = Program(prompts=prompts, rules=rules)
    read = read_back(statement_of(program), program.meant)
    for meaning in (program.meant, read):
        assert [each.state for each in meaning.judged("ab").outcomes] == [
            "never",
            "nearly",
            "fires",
            "never",
        ]
        assert [each.state for each in meaning.judged("ba").outcomes] == [
            "never",
            "fires",
            "comes later",
            "never",
        ]


def test_words_of_another_program_are_refused():
    aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    stated = statement_of(aab)
    with pytest.raises(NotCertified, match="another program"):
        read_meaning(stated, Words("0" * 64))
    plain = read_meaning(stated)
    assert [rule.origin.what for rule in plain.rules] == [
        "predict 'b' when (token.at(-1) == 'a') & (token == 'a') & (position >= 1)",
        "predict 'a' otherwise",
    ]


def test_words_that_do_not_fit_the_certificate_are_refused():
    program = gallery.facts("histogram")["program"]
    stated, words = statement_of(program), words_of(program.meant, "")
    words = replace(words, program=program_hash(stated["contexts"], stated["meaning"]))
    assert len(read_meaning(stated, words).rules) == len(program.rules)
    last = replace(words.rules[-1], number=99)
    far = replace(words.rules[0], conditions=(ConditionWords("far", 10**6),))
    for wrong in (
        replace(words, rules=words.rules[1:]),
        replace(words, written=words.written[1:]),
        replace(words, rules=(*words.rules[:-1], last)),
        replace(words, rules=(far, *words.rules[1:])),
        replace(words, outputs=(1,)),
    ):
        with pytest.raises(NotCertified, match="names rules or nodes"):
            read_meaning(stated, wrong)


def test_the_flag_of_the_certificate_decides_and_not_the_words():
    """Words that name other conditions change what is said of a rule, and never which rule fires."""
    program = gallery.facts("histogram")["program"]
    stated, words = statement_of(program), words_of(program.meant, "")
    lies = tuple(replace(rule, conditions=()) for rule in words.rules)
    hashed = program_hash(stated["contexts"], stated["meaning"])
    read = read_meaning(stated, replace(words, program=hashed, rules=lies))
    for text in ("abcab=", "abcab=2", "abcab=22"):
        states = [each.state for each in read.judged(text).outcomes]
        right = [each.state for each in program.meant.judged(text).outcomes]
        assert [s in ("fires", "comes later") for s in states] == [
            s in ("fires", "comes later") for s in right
        ]
        assert read.answer(text) == program.meant.answer(text)
