"""The three ways down from rules: evidence, one layer of neurons, two layers."""

from __future__ import annotations

import importlib
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from handcraft import Compiled, Program, Vocabulary, compile_program, predict
from handcraft.circuits import Circuits
from handcraft.compiler import lower_rules
from handcraft.compiler.rules.rank_rules import rank_rules
from handcraft.errors import CompileError
from handcraft.language.patterns import coverage
from handcraft.testing import assert_agreement
from handcraft.weights.place_norms import NATS

lowering = importlib.import_module("handcraft.compiler.rules.lower_rules")  # the function has its name

STYLES = {"block": lowering.PLAIN, "gpt2": lowering.NORMED}

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


def compiled(program: Program, architecture: str, *, positions: str = "auto", **style) -> Compiled:
    """The program as compiled, with as many positions as it asks for, and a style of its own."""
    circuits = lower_rules(program, positions, replace(STYLES[architecture], **style))
    return replace(compile_program(circuits, architecture=architecture), source=program)


def assert_right(program: Program, **options) -> None:
    """Every context is answered right, in every architecture."""
    for architecture in STYLES:
        assert_agreement(compiled(program, architecture, **options))


def neurons(circuits: Circuits) -> list[int]:
    return [len(block.neurons) for block in circuits.blocks]


def heads(circuits: Circuits) -> list[str]:
    return [head.attends.label for head in circuits.blocks[0].heads]


def test_evidence_needs_no_neurons():
    circuits = lower_rules(AAB)
    assert neurons(circuits) == [0]
    assert heads(circuits) == ["this position", "1 back"]
    made = compile_program(AAB, architecture="block", positions="one-hot")
    assert made.model.shape.n_inner == (0,)
    assert_right(AAB)


def test_one_rule_with_many_conditions_for_each_token_is_evidence():
    rules = [predict("b").after("aa"), predict("c").after("start [ab]b.a"), predict("a").otherwise()]
    program = Program("abc", 5, rules)
    assert neurons(lower_rules(program)) == [0]
    assert_right(program)


def test_many_rules_with_one_condition_for_one_token_are_evidence():
    rules = [
        predict("b").after("a"),
        predict("b").after("[cd]"),
        predict("a").after("..."),
        predict("b").otherwise(),
    ]
    program = Program("abcd", 4, rules)
    assert neurons(lower_rules(program)) == [0]
    assert_right(program)


def test_a_token_with_two_rules_of_several_conditions_needs_a_neuron_for_each_rule():
    circuits = lower_rules(TWICE)
    assert neurons(circuits) == [3]
    assert heads(circuits) == ["1 back"]
    assert_right(TWICE)


def test_a_token_with_a_rule_of_one_condition_and_one_of_two_needs_neurons():
    rules = [predict("b").after("aa"), predict("b").after("b"), predict("a").otherwise()]
    program = Program("ab", 3, rules)
    assert neurons(lower_rules(program)) == [2]
    assert_right(program)


def test_tokens_that_no_pattern_reads_are_not_fetched():
    rules = [predict("b").after("a..a"), predict("b").after("b..b"), predict("a").otherwise()]
    assert heads(lower_rules(Program("ab", 6, rules))) == ["3 back"]


def test_an_otherwise_alone_needs_no_head():
    program = Program("ab", 3, [predict("b").otherwise()])
    assert heads(lower_rules(program)) == []
    assert_right(program)


def test_heights_up_to_the_highest_take_one_layer_and_higher_ones_two():
    highest = max(each.height for each in rank_rules(TWICE.live_clauses))
    assert neurons(lower_rules(TWICE, style=replace(lowering.PLAIN, highest=highest))) == [3]
    assert neurons(lower_rules(TWICE, style=replace(lowering.PLAIN, highest=highest - 1))) == [3, 3]


@pytest.mark.parametrize("positions", ["one-hot", "binary"])
def test_two_layers_are_right_where_they_are_forced(positions):
    assert_right(TWICE, highest=0, positions=positions)


LETTERS = "abcdefghijklmnopqrstuvwxyz"


def nested(count: int) -> Program:
    """Rules that all overlap and predict a and b in turn, so that heights are Fibonacci numbers."""
    rules = [predict("ab"[k % 2]).after(f"[{LETTERS[:k]}]" * 2) for k in range(1, count)]
    return Program(LETTERS[:count], 2, [*rules, predict("c").otherwise()])


@pytest.mark.parametrize("architecture", STYLES)
@pytest.mark.parametrize("positions", ["one-hot", "binary"])
def test_a_real_program_whose_heights_exceed_the_highest_is_right_on_every_context(
    architecture, positions
):
    program = nested(24)
    heights = [each.height for each in rank_rules(program.live_clauses)]
    assert max(heights) > STYLES[architecture].highest
    found = compile_program(
        program, architecture=architecture, positions=positions, tokens="one-hot", n_positions=2
    )
    assert neurons(found.circuits)[0] == 23
    assert len(found.circuits.blocks) == 2
    assert_agreement(found)


def test_a_real_program_just_below_the_highest_is_right_on_every_context():
    program = nested(15)
    assert neurons(lower_rules(program)) == [14]
    assert_agreement(compile_program(program, architecture="block"))


def test_neurons_that_do_not_fit_one_mlp_take_turns_in_several():
    words = ["".join(letters) for letters in product("abc", repeat=5)]
    rules = [predict("ab"[word.count("a") % 2]).after(word) for word in words]
    program = Program("abcd", 5, [*rules, predict("d").otherwise()])
    asked = {"positions": "one-hot", "tokens": "one-hot", "n_positions": 5}
    found = compile_program(program, architecture="gpt2", **asked)
    assert (len(found.circuits.blocks), len(found.plan.layers)) == (1, 3)
    assert_agreement(found)


def alternating(context: int) -> list:
    """Rules of one condition each, which predict a and b in turn by the length of the context."""
    return [predict("ab"[k % 2]).after("." * k) for k in range(context, 0, -1)]


def assert_right_on(program: Program, text: str, **options) -> None:
    ids = program.vocabulary.ids(text)
    for architecture in STYLES:
        found = compile_program(program, architecture=architecture, n_positions=len(ids), **options)
        answers = found.model.forward([ids])[0].argmax(axis=-1).tolist()
        meant = [program.next_token(ids[:n]) for n in range(1, len(ids) + 1)]
        assert answers == meant, architecture


@pytest.mark.parametrize("context", [20, 36, 60])
def test_rules_of_one_condition_may_overlap_as_often_as_others(context):
    assert_right_on(Program("ab", context, alternating(context)), "a" * context)


@pytest.mark.parametrize("positions", ["one-hot", "binary"])
@pytest.mark.parametrize(("context", "length"), [(30, 2), (30, 8), (30, 9), (32, 2), (32, 3), (32, 8)])
def test_evidence_never_answers_wrongly_for_want_of_bits(context, length, positions):
    rules = [predict("c").after("c" * length), *alternating(context)]
    assert_right_on(Program("abc", context, rules), "c" * context, positions=positions)


@pytest.mark.parametrize("highest", [lowering.PLAIN.highest, 0], ids=["one layer", "two layers"])
def test_a_rule_behind_an_unconditional_one_stays_hidden_where_coverage_is_undecided(
    monkeypatch, highest
):
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
    assert_right(program, highest=highest)


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


@pytest.mark.parametrize("architecture", STYLES)
@pytest.mark.parametrize("positions", ["one-hot", "binary"])
def test_every_rule_is_the_origin_of_what_serves_it(positions, architecture):
    found = compiled(TWICE, architecture, positions=positions)
    served = {
        origin.what
        for tensor in found.placement.tensors.values()
        for origins in tensor.origins.values()
        for origin in origins
    }
    assert {str(rule) for rule in TWICE.rules} <= served


def test_a_layout_of_positions_that_there_is_not_is_refused():
    with pytest.raises(CompileError, match="no layout of positions 'unary'") as caught:
        compile_program(AAB, positions="unary")
    assert "one-hot, binary" in caught.value.fix


@pytest.mark.parametrize("program", [AAB, TWICE], ids=["evidence", "neurons"])
def test_the_right_logit_leads_by_at_least_a_unit_less_the_echo(program):
    model = compile_program(program, architecture="block").model
    size, context = len(program.vocabulary), program.context
    texts = np.stack(np.meshgrid(*[range(size)] * context), axis=-1).reshape(-1, context)
    logits = np.sort(model.forward(texts), axis=-1)
    assert (logits[..., -1] - logits[..., -2]).min() >= lowering.PLAIN.unit - 1


def many_for_one_token(count: int) -> Program:
    """A rule over many that all speak for one other token, so that its lead is small against both."""
    wider = [predict("a").after(f"[{LETTERS[: k + 2]}]" * 2) for k in range(count)]
    rules = [predict("c").after("aa"), *wider, predict("b").otherwise()]
    return Program(LETTERS[: count + 3], 2, rules)


@pytest.mark.parametrize(
    "program",
    [AAB, TWICE, many_for_one_token(6), many_for_one_token(15)],
    ids=["evidence", "neurons", "six rules for one token", "fifteen rules for one token"],
)
def test_with_layer_norm_a_unit_of_logit_becomes_about_the_promised_nats(program):
    model = compile_program(program, architecture="gpt2", n_positions=program.context).model
    size, context = len(program.vocabulary), program.context
    texts = np.stack(np.meshgrid(*[range(size)] * context), axis=-1).reshape(-1, context)
    logits = np.sort(model.forward(texts), axis=-1)
    assert (logits[..., -1] - logits[..., -2]).min() >= 0.75 * NATS
