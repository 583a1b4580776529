"""Programs of patterns: what they are made of, and that they are right on every context."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from handcraft import Program, Vocabulary, compile_program, predict
from handcraft.architecture import architecture_named
from handcraft.circuits import Circuits
from handcraft.compiler.rules import rule_logits
from handcraft.compiler.rules.rule_logits import ranks
from handcraft.compiler.rules.ruled import Ruled
from handcraft.language.patterns import coverage
from handcraft.testing import assert_agreement
from handcraft.weights.place_norms import NATS

ARCHITECTURES = ("block", "gpt2")

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
TWICE = Program(
    "abc",
    4,
    [
        predict("b").after("aa"),
        predict("b").after("cb"),
        predict("c").after("start a"),
        predict("a").otherwise(),
    ],
)


def assert_right(program: Program, **options) -> None:
    """Every context is answered right, in every architecture."""
    for architecture in ARCHITECTURES:
        assert_agreement(
            compile_program(program, architecture=architecture, n_positions=program.context, **options)
        )


def neurons(circuits: Circuits) -> list[int]:
    return [len(block.neurons) for block in circuits.blocks]


def heads(circuits: Circuits) -> list[str]:
    return [head.name for head in circuits.blocks[0].heads]


def test_each_rule_of_several_conditions_takes_a_neuron_and_each_earlier_token_a_head():
    made = compile_program(AAB, architecture="block", positions="one-hot", tokens="one-hot")
    assert neurons(made.circuits) == [1]
    assert heads(made.circuits) == ["token.at(-1)"]
    assert neurons(compile_program(TWICE, architecture="block", tokens="one-hot").circuits) == [3]
    assert_right(TWICE)


def test_tokens_that_no_pattern_reads_are_not_moved():
    rules = [predict("b").after("a..a"), predict("b").after("b..b"), predict("a").otherwise()]
    made = compile_program(Program("ab", 6, rules), architecture="block")
    assert heads(made.circuits) == ["token.at(-3)"]


def test_an_otherwise_alone_needs_no_head():
    program = Program("ab", 3, [predict("b").otherwise()])
    assert heads(compile_program(program, architecture="block").circuits) == []
    assert_right(program)


LETTERS = "abcdefghijklmnopqrstuvwxyz"


def nested(count: int) -> Program:
    """Rules that all overlap and predict a and b in turn, so that heights are Fibonacci numbers."""
    rules = [predict("ab"[k % 2]).after(f"[{LETTERS[:k]}]" * 2) for k in range(1, count)]
    return Program(LETTERS[:count], 2, [*rules, predict("c").otherwise()])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("tokens", ["one-hot", "binary"])
def test_rules_whose_heights_would_be_too_large_veto_later_ones(tokens, architecture):
    program = nested(24)
    if tokens == "one-hot":
        ruled = Ruled.of(program, architecture_named(architecture), "float32", reuse=True)
        assert any(each.has_veto for each in ranks(ruled.rulings, "float32"))
    assert_agreement(compile_program(program, architecture=architecture, tokens=tokens, n_positions=2))


def test_heights_just_below_the_largest_need_no_veto():
    program = nested(15)
    found = compile_program(program, architecture="block", tokens="one-hot")
    assert len(found.circuits.blocks) == 1
    assert_agreement(found)


def test_neurons_that_do_not_fit_one_mlp_take_turns_in_several():
    words = ["".join(letters) for letters in product("abc", repeat=5)]
    rules = [predict("ab"[word.count("a") % 2]).after(word) for word in words]
    program = Program("abcd", 5, [*rules, predict("d").otherwise()])
    asked = {"positions": "one-hot", "tokens": "one-hot", "n_positions": 5}
    found = compile_program(program, architecture="gpt2", **asked)
    assert len(found.circuits.blocks) == 1 < len(found.plan.layers)
    assert_agreement(found)


def alternating(context: int) -> list:
    """Rules of one condition each, which predict a and b in turn by the length of the context."""
    return [predict("ab"[k % 2]).after("." * k) for k in range(context, 0, -1)]


def assert_right_on(program: Program, text: str, **options) -> None:
    ids = program.vocabulary.ids(text)
    for architecture in ARCHITECTURES:
        found = compile_program(program, architecture=architecture, n_positions=len(ids), **options)
        answers = found.model.forward([ids])[0].argmax(axis=-1).tolist()
        meant = [program.next_token(ids[:n]) for n in range(1, len(ids) + 1)]
        assert answers == meant, architecture


@pytest.mark.parametrize("context", [20, 36, 60])
def test_rules_of_one_condition_may_overlap_as_often_as_others(context):
    assert_right_on(Program("ab", context, alternating(context)), "a" * context)


@pytest.mark.parametrize("positions", ["one-hot", "binary"])
@pytest.mark.parametrize(("context", "length"), [(30, 2), (30, 8), (30, 9), (32, 2), (32, 3), (32, 8)])
def test_no_answer_is_wrong_for_want_of_bits(context, length, positions):
    rules = [predict("c").after("c" * length), *alternating(context)]
    assert_right_on(Program("abc", context, rules), "c" * context, positions=positions)


@pytest.mark.parametrize("highest", [rule_logits.HIGHEST, 1], ids=["heights", "vetoes"])
def test_a_rule_behind_an_unconditional_one_stays_hidden_where_coverage_is_undecided(
    monkeypatch, highest
):
    monkeypatch.setattr(rule_logits, "HIGHEST", highest)
    monkeypatch.setattr(coverage, "NODE_LIMIT", 1)  # as for a program that is too entangled
    rules = [
        predict("a").after("bb"),
        predict("a").after("cc"),
        predict("c").after("."),
        predict("b").after("ab"),
        predict("b").after("ba"),
        predict("b").otherwise(),
    ]
    program = Program("abc", 3, rules)
    assert not program.coverage.is_complete
    assert_right(program)


def test_a_context_of_one_position_may_be_anchored():
    rules = [predict("a").after("start b"), predict("a").after("start c"), predict("b").otherwise()]
    assert_right(Program("abc", 1, rules))


A, B = predict("a").otherwise(), predict("b").otherwise()


@pytest.mark.parametrize(
    "program",
    [
        Program("a", 1, [A]),
        Program("a", 3, [predict("a").after("start a.a"), A]),
        Program("ab", 1, [predict("b").after("a"), A]),
        Program("ab", 3, [predict("b").after("a"), predict("a").after("[^a]")]),
        Program("ab", 3, [predict("a").after("start ..."), predict("b").after(".")]),
        Program("ab", 2, [predict("b").after("start aa"), predict("b").after("start b"), A]),
        Program("ab", 4, [predict("a").after("...."), predict("a").after("start ."), B]),
        Program(Vocabulary(["hello"]), 2, [predict("hello").otherwise()]),
        Program(
            "start the", 3, [predict("start").after(r"start \start the"), predict("the").otherwise()]
        ),
        Program("<pad> x", 3, [predict("x").after("<pad> <pad>"), predict("<pad>").otherwise()]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("positions", ["one-hot", "binary", "sinusoidal"])
def test_small_and_odd_programs_are_right_on_every_context(program, positions):
    assert_right(program, positions=positions)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("positions", ["one-hot", "binary"])
def test_every_rule_is_the_origin_of_what_serves_it(positions, architecture):
    found = compile_program(TWICE, architecture=architecture, positions=positions, n_positions=4)
    served = {
        origin.what
        for tensor in found.placement.tensors.values()
        for origins in tensor.origins.values()
        for origin in origins
    }
    assert {str(rule) for rule in TWICE.rules} <= served


@pytest.mark.parametrize("program", [AAB, TWICE], ids=["one rule", "three rules"])
def test_the_right_logit_leads_by_at_least_a_unit_less_the_echo(program):
    model = compile_program(program, architecture="block").model
    size, context = len(program.vocabulary), program.context
    texts = np.stack(np.meshgrid(*[range(size)] * context), axis=-1).reshape(-1, context)
    logits = np.sort(model.forward(texts), axis=-1)
    assert (logits[..., -1] - logits[..., -2]).min() >= rule_logits.UNIT - 1


def many_for_one_token(count: int) -> Program:
    """A rule over many that all speak for one other token, so that its lead is small against both."""
    wider = [predict("a").after(f"[{LETTERS[: k + 2]}]" * 2) for k in range(count)]
    rules = [predict("c").after("aa"), *wider, predict("b").otherwise()]
    return Program(LETTERS[: count + 3], 2, rules)


@pytest.mark.parametrize(
    "program",
    [AAB, TWICE, many_for_one_token(6), many_for_one_token(15)],
    ids=["one rule", "three rules", "six rules for one token", "fifteen rules for one token"],
)
def test_with_layer_norm_a_unit_of_logit_becomes_about_the_promised_nats(program):
    model = compile_program(program, architecture="gpt2", n_positions=program.context).model
    size, context = len(program.vocabulary), program.context
    texts = np.stack(np.meshgrid(*[range(size)] * context), axis=-1).reshape(-1, context)
    logits = np.sort(model.forward(texts), axis=-1)
    assert (logits[..., -1] - logits[..., -2]).min() >= 0.75 * NATS
