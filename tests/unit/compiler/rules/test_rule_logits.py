"""Rules over expressions: neurons that add to logits, and which of them wins."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.circuits import Circuits, Neuron
from handcraft.compiler.rules import rule_logits
from handcraft.compiler.rules.rule_logits import UNIT
from handcraft.errors import HandcraftWarning, PrecisionError, ProgramError
from handcraft.testing import assert_agreement

PROMPTS = Prompts("abc", context=4)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
SEEN = select(TOKEN, TOKEN).count()
BEFORE = TOKEN.at(-1, default="a")
OTHERWISE = predict("c").otherwise()


def circuits(*rules) -> Circuits:
    """The circuits of rules, which agree with them on every floor of the block."""
    made = compile_program(Program(prompts=PROMPTS, rules=rules), architecture="block")
    assert_agreement(made)
    return made.circuits


def writing_logits(of: Circuits) -> list[Neuron]:
    """The neurons that write logits."""
    return [
        neuron
        for block in of.blocks
        for neuron in block.neurons
        if any(write.subspace == of.unembedding for write in neuron.writes)
    ]


def amounts(of: Circuits) -> list[int]:
    """What is written for a token, by neurons and by biases."""
    biases = [bias.adds for block in of.blocks for bias in block.neuron_bias]
    writes = [write for neuron in writing_logits(of) for write in neuron.writes]
    logits = [part for part in (*writes, *biases) if part.subspace == of.unembedding]
    return [number for part in logits for _, number in part.entries]


def test_a_rule_that_predicts_a_token_is_one_neuron():
    of = circuits(predict("b").when(TOKEN == "a"), OTHERWISE)
    assert len(writing_logits(of)) == 1


def test_the_rule_for_everything_else_is_a_bias():
    of = circuits(OTHERWISE)
    assert not writing_logits(of)
    assert sorted(amounts(of)) == [-UNIT, UNIT]


def test_a_rule_that_predicts_an_expression_is_a_neuron_for_every_token_it_can_be():
    assert len(writing_logits(circuits(predict(TOKEN).otherwise()))) == 3
    assert (
        len(writing_logits(circuits(predict(TOKEN.map({"a": "b", "b": "b", "c": "a"})).otherwise())))
        == 2
    )


def test_a_pattern_and_a_flag_are_conditions_of_the_same_neuron():
    first = TOKEN.at_position(0) == "a"
    of = circuits(predict("b").after("b").when(first), OTHERWISE)
    (neuron,) = writing_logits(of)
    assert [len(block.neurons) for block in of.blocks] == [1], "no step says first that all hold"
    assert len(neuron.all_reads) >= 2


def test_rules_take_heights_each_of_which_outvotes_what_later_ones_add_for_another_token():
    several = [predict("ab"[k % 2]).when(k == POSITION) for k in range(3)]
    written = sorted(amounts(circuits(*several, OTHERWISE)), reverse=True)
    assert written == [4 * UNIT, 3 * UNIT, 2 * UNIT, UNIT]


def test_where_heights_grow_too_large_a_rule_has_a_veto_against_later_ones(monkeypatch):
    monkeypatch.setattr(rule_logits, "HIGHEST", 32)
    flags = [TOKEN == "a", BEFORE == "a", SEEN >= 2, POSITION >= 3, BEFORE == "b", TOKEN == "b"]
    many = [predict("ab"[k % 2]).when(flag) for k, flag in enumerate([*flags, ~flags[0], ~flags[2]])]
    written = amounts(circuits(*many, OTHERWISE))
    assert max(written) <= 32 * UNIT
    assert written.count(UNIT) > 1, "the first of them would need more than the largest height"


def test_patterns_that_never_match_together_have_one_height_beside_a_flag():
    pairs = [
        predict("abc"[(i + 2 * k) % 3]).after(x + y)
        for i, x in enumerate("abc")
        for k, y in enumerate("abc")
    ]
    of = circuits(predict("b").when(POSITION >= 3), *pairs, OTHERWISE)
    assert sorted(set(amounts(of)))[:2] == [UNIT, 2 * UNIT]
    assert len(of.blocks) == 1, "no flag is made for a rule before another"


def test_a_rule_with_a_longer_pattern_vetoes_by_its_further_conditions():
    shares = {"a": 0.25, "b": 0.75}
    of = circuits(predict(shares).after("ab"), predict("c").after("b"), predict(shares).otherwise())
    made = [neuron for block in of.blocks[:-1] for neuron in block.neurons]
    assert not made, "the letter before b is all that has to be asked"


def test_the_first_of_two_rules_that_both_fire_wins():
    both = [predict("a").when(POSITION >= 1), predict("b").when(SEEN <= 1)]
    program = Program(prompts=PROMPTS, rules=[*both, OTHERWISE])
    assert program.trace("cc") == ("b", "a")
    circuits(*both, OTHERWISE)


def test_a_rule_that_never_fires_says_nothing():
    never = (TOKEN == "a") & (TOKEN == "b")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        of = circuits(predict("b").when(never), OTHERWISE)
    assert not writing_logits(of)


@pytest.mark.parametrize("is_exact", [False, True], ids=["token", "probabilities"])
def test_nothing_writes_logits_after_a_rule_that_the_passes_find_to_fire_always(is_exact):
    always = PROMPTS.everything.exists()
    answer = {"a": 0.25, "b": 0.75} if is_exact else "a"
    of = circuits(predict(answer).when(always), predict("b").when(TOKEN == "a"), OTHERWISE)
    wanted = 3 if is_exact else 0  # the echoes of three tokens are taken off
    assert len(writing_logits(of)) == wanted


def test_what_a_rule_writes_carries_the_rule_as_its_origin():
    rule = predict("b").when(TOKEN == "a")
    (neuron,) = writing_logits(circuits(rule, OTHERWISE))
    (origin,) = neuron.origins
    assert origin.what == str(rule)
    assert "test_rule_logits.py" in str(origin)


# probabilities


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_softmax_of_the_logits_is_the_distribution(architecture):
    shares = {"a": 0.2, "b": 0.3, "c": 0.5}
    rules = [
        predict(shares).when(SEEN >= 2),
        predict({"b": 0.9, "a": 0.1}).when(TOKEN == "a"),
        OTHERWISE,
    ]
    program = Program(prompts=PROMPTS, rules=rules)
    made = compile_program(program, architecture=architecture)
    assert_agreement(made)
    logits = made.model.forward([PROMPTS.vocabulary.ids("aab")])[0].astype(np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    said = (powers / powers.sum(axis=-1, keepdims=True))[:, :3]
    assert said[0] == pytest.approx([0.1, 0.9, 0], abs=1e-5)
    assert said[1] == pytest.approx([0.2, 0.3, 0.5], abs=1e-5)
    assert said[2] == pytest.approx([0, 0, 1], abs=1e-5)


def test_probabilities_that_a_dtype_does_not_hold_are_refused():
    program = Program(prompts=PROMPTS, rules=[predict({"a": 0.3, "b": 0.7}).otherwise()])
    with pytest.raises(PrecisionError, match="in bfloat16 a probability has an error of") as caught:
        compile_program(program, dtype="bfloat16")
    assert "predict a 3/10 b 7/10 otherwise" in str(caught.value.where)
    assert caught.value.fix == "compile with dtype='float32' (tried)"


def test_probabilities_that_a_dtype_does_hold_are_not():
    program = Program(prompts=PROMPTS, rules=[predict({"a": 0.5, "b": 0.5}).otherwise()])
    assert_agreement(compile_program(program, dtype="bfloat16"))


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize(
    ("share", "holds"), [(Fraction(1, 10**12), True), (Fraction(1, 10**13), False)]
)
def test_a_probability_too_small_is_refused(architecture, share, holds):
    shares = {"a": share, "b": 1 - share}
    program = Program("ab", 3, [predict(shares).after("b"), predict("a").otherwise()])
    if holds:
        assert compile_program(program, architecture=architecture).verify().passed
        return
    with pytest.raises(PrecisionError, match="would come first"):
        compile_program(program, architecture=architecture)


def test_a_probability_that_floats_round_away_is_distinguished_from_a_wrong_sum():
    with pytest.raises(ProgramError, match="leave 'a' out"):
        Program("ab", 3, [predict({"a": 1e-300, "b": 1.0}).otherwise()])
