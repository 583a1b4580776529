"""The circuit: every true edge is necessary, every other one inert, judged by a slow implementation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gallery import compiled
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_patching import slow_logits
from sweeps import sweep

from handcraft import (
    Model,
    Program,
    Prompts,
    compile_program,
    compile_sequences,
    predict,
    select,
)
from handcraft.errors import CompileError, GroundTruthError
from handcraft.ground_truth import of_compiled
from handcraft.ground_truth.circuit.carried import carried
from handcraft.ground_truth.circuit.find_circuit import find_circuit
from handcraft.ground_truth.circuit.pairs import pair_rounds
from handcraft.testing import rule_programs, sequence_programs


def names(findings):
    return [finding.edge.name for finding in findings]


def ids_of(subject, text):
    return [subject.model.vocabulary.numbers[place] for place in text]


def assert_necessary(subject, circuit):
    """Every witness shows its edge: the answer is right without a patch, and another one with it."""
    outside = [finding for finding in circuit.findings if not finding.is_true]
    for finding in circuit.true:
        witness = finding.witness
        edges = [finding] if witness.alone else [finding, *outside]
        assert 1 <= witness.changed <= len(witness.clean) == len(witness.corrupted)
        texts = [ids_of(subject, text) for text in (witness.clean, witness.corrupted)]
        clean = slow_logits(subject.model, *texts, [])[-1]
        patched = slow_logits(subject.model, *texts, names(edges))[-1]
        assert clean.argmax() == witness.right != witness.wrong == patched.argmax(), finding
        assert finding.effect > 1


def assert_inert(subject, circuit, most=2):
    """No answer changes when an edge is patched that carries nothing, nor when all of these are.

    Of the edges for which no pair was found that is known on the pairs that were tried.
    """
    false = [finding for finding in circuit.findings if finding.connection != "read"]
    pairs = next(iter(pair_rounds(subject, 4, seed=7))).by_length[-1].part(0, most)
    for clean, corrupted, meant in zip(pairs.clean, pairs.corrupted, pairs.meant, strict=True):
        texts = ids_of(subject, clean.tolist()), ids_of(subject, corrupted.tolist())
        asked = np.flatnonzero(meant >= 0)
        before = slow_logits(subject.model, *texts, [])[asked]
        top = np.sort(before, axis=1)
        decided = top[:, -1] - top[:, -2] > 0.01  # answers of one probability may change places
        alone = [[finding] for finding in false[:: max(1, len(false) // 6)]]
        for patched in (*alone, false):
            after = slow_logits(subject.model, *texts, names(patched))[asked]
            assert (after.argmax(-1) == before.argmax(-1))[decided].all(), (patched, clean)
            if all(finding.connection in ("unused", "unread") for finding in patched):
                np.testing.assert_array_equal(after, before)


def assert_circuit(subject, pairs=32):
    circuit = find_circuit(subject, pairs=pairs, seed=0)
    assert circuit.kept == circuit.asked
    assert_necessary(subject, circuit)
    assert_inert(subject, circuit)
    for finding in circuit.findings:
        if finding.connection == "read":  # by the weights, and so by the circuits they were made from
            assert carried(subject, finding.edge), finding
        assert finding.connection == "read" or not finding.is_true
        assert finding.is_true == (finding.effect >= 1)
    return circuit


@settings(max_examples=sweep(36))
@given(program=rule_programs(), architecture=st.sampled_from(["gpt2", "block"]))
def test_edges_of_random_rules_are_necessary_or_inert(program, architecture):
    assert_circuit(of_compiled(compile_program(program, architecture=architecture)))


@settings(max_examples=sweep(18))
@given(program=rule_programs())
def test_edges_of_random_llamas_are_necessary_or_inert(program):
    assert_circuit(of_compiled(compile_program(program, architecture="llama")), pairs=16)


def test_induction_in_a_llama_is_the_circuit_that_everybody_knows():
    """The token before is moved, matched with the token, and the token after it is written."""
    circuit = find_circuit(of_compiled(compiled("induction", "llama")), pairs=32, seed=0)
    wanted = {"input->a0.h0<v>", "input->a1.h0<q>", "m0->a1.h0<k>", "input->a1.h0<v>"}
    assert wanted < set(names(circuit.true))
    assert circuit.kept == circuit.asked


@settings(max_examples=sweep(36))
@given(program=sequence_programs(depth=2), architecture=st.sampled_from(["gpt2", "block"]))
def test_edges_of_random_expressions_are_necessary_or_inert(program, architecture):
    try:
        subject = of_compiled(compile_program(program, architecture=architecture))
    except CompileError:
        return
    assert_circuit(subject)


@pytest.mark.parametrize("architecture", ["gpt2", "block"])
def test_edges_that_only_make_two_tokens_equally_likely_are_not_true_alone(architecture):
    """Patching one of two edges that say the same leaves a tie, which changes no answer."""
    prompts = Prompts("ab", 2)
    rules = [
        predict("b").after("aa"),
        predict("a").when(prompts.token == "a"),
        predict({"a": 1.0}).otherwise(),
    ]
    program = Program(prompts=prompts, rules=rules)
    subject = of_compiled(compile_program(program, architecture=architecture))
    circuit = assert_circuit(subject)
    assert circuit.is_all
    if architecture == "gpt2":
        ties = [finding for finding in circuit.open if finding.effect > 0.9]
        assert names(ties) == ["input->m0", "a0.h0->m0", "m0->m1"]


def test_the_circuit_of_aab():
    circuit = assert_circuit(of_compiled(compiled("aab")), pairs=256)
    assert names(circuit.true) == ["input->a0.h0<v>", "input->m0", "a0.h0->m0", "m0->logits"]
    assert names(circuit.open) == ["input->logits"]
    assert circuit.is_all


def test_the_circuit_of_induction_is_two_heads_and_what_feeds_them():
    circuit = assert_circuit(of_compiled(compiled("induction")))
    found = names(circuit.true)
    assert {"input->a0.h0<v>", "input->a1.h0<q>", "m0->a1.h0<k>", "input->a1.h0<v>"} <= set(found)
    assert "a1.h0->m1" in found


def test_positions_alone_are_no_edge():
    """A pair of one length has the same positions: what depends on nothing else is the same in both."""
    circuit = find_circuit(of_compiled(compiled("aab")), pairs=48, seed=0)
    connections = {finding.edge.name: finding.connection for finding in circuit.findings}
    assert connections["input->a0.h0<q>"] == connections["input->a0.h0<k>"] == "scale"


def test_a_program_without_heads_has_a_circuit_too():
    program = Program("ab", 3, [predict("b").after("a"), predict("a").otherwise()])
    circuit = assert_circuit(of_compiled(compile_program(program)))
    assert not any(finding.edge.source.kind == "head" for finding in circuit.true)
    assert {finding.connection for finding in circuit.findings} <= {"read", "unused", "scale"}


def test_a_program_that_always_answers_alike_has_no_true_edge():
    subject = of_compiled(compile_program(Program("ab", 3, [predict("b").otherwise()])))
    circuit = assert_circuit(subject)
    assert not circuit.true


def test_a_model_without_a_mask_is_asked_at_its_last_position():
    prompts = Prompts("ab", 4, causal=False)
    before = prompts.token.at(1, default="a")
    rules = [predict("b").when(prompts.token == "b"), predict(before).otherwise()]
    circuit = assert_circuit(of_compiled(compile_program(Program(prompts=prompts, rules=rules))))
    assert circuit.true


def test_a_witness_that_shows_nothing_would_be_noticed():
    subject = of_compiled(compiled("aab"))
    circuit = find_circuit(subject, pairs=48, seed=0)
    (first, *others) = circuit.true
    same = replace(first.witness, corrupted=(*first.witness.clean[:-1], 1 - first.witness.clean[-1]))
    with pytest.raises(AssertionError):
        assert_necessary(subject, replace(circuit, findings=(replace(first, witness=same), *others)))


def test_a_model_with_a_wrong_answer_has_no_circuit():
    subject = of_compiled(compiled("aab"))
    tensors = dict(subject.model.tensors)
    tensors["h.0.attn.c_proj.weight"] = np.zeros_like(tensors["h.0.attn.c_proj.weight"])
    model = Model(subject.model.architecture, subject.model.shape, subject.model.vocabulary, tensors)
    with pytest.raises(GroundTruthError, match="does not answer what is meant"):
        find_circuit(replace(subject, model=model), pairs=48, seed=0)


def test_a_model_of_values_has_no_circuit():
    prompts = Prompts("ab", 4)
    subject = of_compiled(compile_sequences({"is a": prompts.token == "a"}))
    with pytest.raises(GroundTruthError, match="computes values"):
        find_circuit(subject, pairs=48, seed=0)


def test_of_edges_that_are_needed_together_each_has_a_witness_beside_the_same_others():
    """Two edges fit beside a third one that was tried after them, so neither is in the circuit."""
    prompts = Prompts("abc", 4)
    token, position = prompts.token, prompts.position
    other = (select(token, token) & select(position, 0, "!=")).exists()
    late = (select(token, "a") | select(position >= 1, False)).latest(position >= 2)
    rules = [
        predict(other.map({False: "a", True: "b"})).after("b").when(late),
        predict({"a": 1.0}).otherwise(),
    ]
    assert_circuit(of_compiled(compile_program(Program(prompts=prompts, rules=rules))))
