"""The mechanisms of a causal model: what the program means, and what follows where values are set."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from gallery import facts
from hypothesis import given, settings
from sweeps import sweep
from truth_programs import adder

from handcraft import Program, Prompts, predict, select
from handcraft.errors import GroundTruthError
from handcraft.ground_truth.causal.mechanisms import NOTHING, Mechanisms, Setting
from handcraft.proofs import write_meaning
from handcraft.testing import rule_programs, sequence_programs
from handcraft_check.program.interpret import Column


def every_text(program: Program, length: int):
    return np.array([*product(range(len(program.vocabulary)), repeat=length)])


def node_called(mechanisms: Mechanisms, name: str) -> int:
    (number,) = [i for i, node in enumerate(mechanisms.nodes) if str(node) == name]
    return number


def with_value(mechanisms, texts, name, position, value):
    """What follows where a value is set at a position of every text."""
    where = np.zeros(texts.shape, dtype=bool)
    where[:, position] = True
    column = Column(np.ones(texts.shape, dtype=np.int64), [None, value])
    return mechanisms.run(texts, Setting(node_called(mechanisms, name), where, column))


def checked_against_oracle(program: Program) -> None:
    texts = every_text(program, min(4, program.context))
    outcome = Mechanisms.of(program).run(texts)
    rows = np.arange(len(texts))
    for place in range(texts.shape[1]):
        meant = program.answers_at(texts, rows, np.full(len(texts), place))
        tokens = outcome.answers[:, place] < len(program.vocabulary)
        assert np.array_equal(outcome.answers[tokens, place], meant[tokens])


@settings(max_examples=sweep(60))
@given(sequence_programs(distributions=False))
def test_without_anything_set_the_answers_are_those_of_the_oracle(program):
    checked_against_oracle(program)


@settings(max_examples=sweep(30))
@given(rule_programs())
def test_so_they_are_for_rules_with_patterns(program):
    checked_against_oracle(program)


def test_what_is_set_stays_set_and_all_that_reads_it_follows():
    prompts = Prompts("ab", 4)
    before = prompts.token.at(-1, default="a")
    both = (before == "b") & (prompts.token == "b")
    seen = select(both, True).exists()
    program = Program(prompts=prompts, rules=[predict("b").when(seen), predict(before).otherwise()])
    texts = every_text(program, 4)
    outcome = with_value(Mechanisms.of(program), texts, "before", 2, "b")
    for text, answers in zip(texts.tolist(), outcome.answers.tolist(), strict=True):
        tokens = ["ab"[i] for i in text]
        meant, any_both = [], False
        for place, token in enumerate(tokens):
            previous = "b" if place == 2 else (["a", *tokens][place])
            any_both = any_both or (previous == "b" and token == "b")
            meant.append("b" if any_both else previous)
        assert ["ab"[i] for i in answers] == meant


def test_a_value_that_breaks_an_assumption_leaves_later_answers_open():
    program = adder(2)
    texts = np.array([[program.vocabulary.tokens.index(t) for t in "=30+40=7"]])
    mechanisms = Mechanisms.of(program)
    assert mechanisms.run(texts).is_defined.all()
    outcome = with_value(mechanisms, texts, "sum_before", 7, 1)  # 3 + 4 - 1 is none of -1, 0, 9, 10
    assert outcome.is_defined[0, :7].all()
    assert not outcome.is_defined[0, 7]
    assert outcome.answers[0, 7] == NOTHING


def test_a_value_that_an_expression_never_has_leaves_answers_open():
    prompts = Prompts("ab", 3)
    found = select(prompts.token == "a", True).count()
    answer = found.map(lambda number: "ab"[number > 1])
    program = Program(prompts=prompts, rules=[predict(answer).otherwise()])
    texts = every_text(program, 3)
    mechanisms = Mechanisms.of(program)
    assert with_value(mechanisms, texts, "found", 1, 3).is_defined.all()
    assert not with_value(mechanisms, texts, "found", 1, 4).is_defined[:, 1].any()


def test_the_other_rules_answer_where_one_is_left_out():
    program = facts("aab")["program"]
    texts = every_text(program, 5)
    mechanisms = Mechanisms.of(program)
    outcome = mechanisms.run(texts)
    others = mechanisms.answers_without(outcome, 0)
    assert (others == program.vocabulary.tokens.index("a")).all()
    assert (mechanisms.answers_without(outcome, 1) == NOTHING).any()


def test_a_program_that_is_too_large_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(write_meaning, "NODES_UP_TO", 3)
    with pytest.raises(GroundTruthError) as refused:
        Mechanisms.of(facts("add")["program"])
    assert "the program is a graph of 22 nodes" in refused.value.what
    assert refused.value.fix
    assert refused.value.where
