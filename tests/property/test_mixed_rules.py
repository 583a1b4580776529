"""Rules of every kind in one program: patterns, conditions on expressions, categories, probabilities.

The first that fires decides, however rules are ranked, vetoed and spread over layers.
"""

from __future__ import annotations

import warnings
from random import Random

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Program, Prompts, compile_program, predict, select, where
from handcraft.compiler.rules.plan_rules import RuleWays
from handcraft.errors import HandcraftWarning, PrecisionError
from handcraft.testing import patterns
from handcraft.verify import verify
from handcraft.verify.facts import check_facts

TOKENS = "abc"
TARGETS = [
    ("block", "float32"),
    ("block", "bfloat16"),
    ("gpt2", "float32"),
    ("gpt2", "bfloat16"),
    ("gpt2", "float16"),
]


@st.composite
def flags(draw, prompts: Prompts):
    """A condition on the position, on a token back there, or on what was seen."""
    token, position = prompts.token, prompts.position
    letter, number = draw(st.sampled_from(TOKENS)), draw(st.integers(1, 3))
    known = {
        "position": position >= number,
        "token": token == letter,
        "back": token.at(-number, default="a") == letter,
        "seen": select(token, letter).exists(),
        "often": select(token, token).count() >= number,
    }
    flag = known[draw(st.sampled_from(sorted(known)))]
    return ~flag if draw(st.booleans()) else flag


@st.composite
def answers(draw, prompts: Prompts, *, exact: bool):
    """A token, a category, or where `exact` a distribution."""
    letter = draw(st.sampled_from(TOKENS))
    kinds = ["token", "token", "category", *(["distribution"] if exact else [])]
    match draw(st.sampled_from(kinds)):
        case "token":
            return letter
        case "distribution":
            return {letter: 0.75, draw(st.sampled_from(TOKENS.replace(letter, ""))): 0.25}
        case _:
            before = prompts.token.at(-1, default=letter)
            return where(prompts.position >= 2, before, prompts.token)


@st.composite
def mixed_programs(draw, *, exact: bool) -> Program:
    """Up to 16 rules, most of them with a pattern, many with a condition besides."""
    prompts = Prompts(TOKENS, context=4)
    rules = []
    for _ in range(draw(st.integers(0, 15))):
        rule = predict(draw(answers(prompts, exact=exact)))
        kind = draw(st.sampled_from(["pattern", "pattern", "flag", "both"]))
        if kind == "flag":
            rules.append(rule.when(draw(flags(prompts))))
            continue
        rule = rule.after(draw(patterns(prompts.vocabulary, 3)))
        rules.append(rule.when(draw(flags(prompts))) if kind == "both" else rule)
    rules.append(predict(draw(answers(prompts, exact=exact))).otherwise())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        return Program(prompts=prompts, rules=rules)


def check(program: Program, target: str, dtype: str) -> None:
    """Assert that every answer of the finished weights is right, or that the dtype is refused."""
    try:
        compiled = compile_program(program, architecture=target, dtype=dtype)
    except PrecisionError:
        reject()
    report = verify(compiled.model, program)
    assert report.passed, report.failures


@settings(max_examples=sweep(240))
@given(st.data(), st.sampled_from(TARGETS))
def test_the_first_rule_that_fires_decides(data, target):
    check(data.draw(mixed_programs(exact=False)), *target)


@settings(max_examples=sweep(80))
@given(mixed_programs(exact=True), st.sampled_from(["block", "gpt2"]))
def test_its_probabilities_are_those_of_the_first_rule_that_fires(program, target):
    check(program, target, "float32")


@pytest.mark.parametrize("target", ["block", "gpt2"])
def test_two_rules_with_the_same_probabilities_are_not_added_up(target):
    shares = {"a": 0.75, "b": 0.25}
    rules = [predict(shares).after("ab"), predict(shares).after("b"), predict("c").otherwise()]
    check(Program(prompts=Prompts(TOKENS, context=4), rules=rules), target, "float32")


def trigrams(count: int, letters: str, prompts: Prompts) -> Program:
    """Rules after three letters each, behind one that reads the position."""
    chosen = Random(0)
    seen = {"".join(chosen.choice(letters) for _ in range(3)) for _ in range(count)}
    rules = [predict(chosen.choice(letters)).after(pattern) for pattern in sorted(seen)]
    late = predict(letters[1]).when(prompts.position >= prompts.context - 1)
    return Program(prompts=prompts, rules=[late, *rules, predict(letters[0]).otherwise()])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(("way", "layers"), [("apart", 2), ("coded_in_short", 2)])
def test_where_rules_are_many_they_are_right_in_every_way(dtype, way, layers, monkeypatch):
    """Neurons of several layers write logits: one-hot, or in bits with one hidden unit each."""
    monkeypatch.setattr(RuleWays, "ways", property(lambda self: (getattr(self, way),)))
    program = trigrams(300, "abcdefghijkl", Prompts("abcdefghijkl", context=5))
    compiled = compile_program(program, dtype=dtype)
    assert len(compiled.plan.layers) == layers
    check_facts(compiled)
    texts = np.random.default_rng(1).integers(0, 12, size=(2_000, 5))
    rows, places = np.divmod(np.arange(texts.size), 5)
    expected = program.answers_at(texts, rows, places)
    answers = compiled.model.forward(texts)[rows, places]
    np.testing.assert_array_equal(answers.argmax(-1), expected)


@pytest.mark.parametrize(("target", "rules"), [("block", 60), ("gpt2", 60), ("gpt2", 280)])
def test_one_condition_among_patterns_costs_hardly_more_than_the_patterns_alone(target, rules):
    letters = "abcdefgh"
    mixed = trigrams(rules, letters, Prompts(letters, context=8))
    alone = Program(letters, 8, mixed.rules[1:])
    sizes = [
        made.model.parameters
        for made in (
            compile_program(alone, architecture=target, n_positions=8),
            compile_program(mixed, architecture=target),
        )
    ]
    assert sizes[1] <= 1.2 * sizes[0]
