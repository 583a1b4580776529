"""Interchange interventions: the model answers what the causal model says, every time."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from gallery import compiled, facts
from hypothesis import given, settings
from safetensors.numpy import load
from sweeps import sweep
from truth_programs import adder, echo, twice

from handcraft import (
    Program,
    Prompts,
    compile_program,
    compile_sequences,
    predict,
    read_checkpoint,
    select,
)
from handcraft.errors import CompileError, GroundTruthError
from handcraft.ground_truth import Wanted, of_checkpoint, of_compiled
from handcraft.ground_truth.causal import trials
from handcraft.ground_truth.causal.interchange import logits_after_exchange
from handcraft.ground_truth.causal.part import PART
from handcraft.ground_truth.causal.variables import causal_model
from handcraft.ground_truth.parts import chosen_parts
from handcraft.ground_truth.stream.featurizer import stream_states
from handcraft.proofs import CERTIFICATE
from handcraft.testing import rule_programs, sequence_programs

EVERY = Wanted(examples=200_000)
"""So many that all interventions on a small program are tried."""


@pytest.fixture
def unlimited(monkeypatch):
    """Try as many interventions as are asked for."""
    monkeypatch.setattr(trials.Trials.__init__, "__defaults__", (1 << 62,))


def by_name(found):
    return {variable.name: variable for variable in found.variables}


@pytest.mark.parametrize("architecture", ["gpt2", "block"])
@pytest.mark.parametrize("made", [adder(2), echo(), twice(), facts("aab")["program"]])
def test_every_intervention_on_a_small_program_is_right(made, architecture, unlimited):
    found = causal_model(of_compiled(compile_program(made, architecture=architecture)), EVERY)
    for variable in found.variables:
        assert variable.tally.is_all
        assert variable.tally.tried == variable.tally.right
    assert sum(variable.tally.changing for variable in found.variables) > 30


def test_the_variables_of_the_adder_are_those_of_its_program():
    found = by_name(causal_model(of_compiled(compile_program(adder(2))), Wanted()))
    names = {"token", "a", "b", "a_before", "b_before", "sum_before", "carry"}
    assert set(found) == names
    assert set(found["carry"].parents) == {"a_before", "b_before", "sum_before"}
    assert found["carry"].values == (False, True)
    assert found["carry"].place.state == 2  # the output of the block that computes it
    assert found["sum_before"].place.state == 1  # the next MLP reads it
    assert found["token"].place.state == 0
    assert found["a"].parents == ("token",)


def test_a_value_that_follows_at_once_is_exchanged_with_it():
    """`due` and `due == "="` are written by the same block: the second does not follow the first."""
    found = by_name(causal_model(of_compiled(compiled("copy_text"), "copy_text"), Wanted()))
    assert found["length"].place.together_with
    assert found["length"].tally.tried == found["length"].tally.right


def test_what_is_computed_from_the_parts_of_a_value_is_left_out_with_the_count():
    found = causal_model(of_compiled(compiled("dyck2"), "dyck2"), Wanted())
    left = {each.name: each for each in found.left_out}
    assert left["depth"].tally.right < left["depth"].tally.tried
    assert "only a part" in left["depth"].why
    assert left["token == '('"].tally is None
    assert "not stored" in left["token == '('"].why


def test_a_featurizer_that_is_a_little_off_does_not_pass(unlimited):
    """The count of right interventions can fall: this is what a wrong featurizer gives."""
    subject = of_compiled(compile_program(adder(2)))
    found = causal_model(subject, Wanted())
    carry = by_name(found)["carry"]
    exchange = carry.exchanges[0]
    stream = stream_states(subject.model, exchange.sample.texts)[carry.done]

    def right(featurizer):
        logits = logits_after_exchange(
            subject.model,
            carry.done,
            stream[exchange.bases],
            stream[exchange.sources],
            exchange.where,
            featurizer,
        )
        wrong = exchange.compared & (logits.argmax(axis=-1) != exchange.answers)
        return (~wrong.any(axis=1)).mean()

    assert right(carry.featurizer) == 1
    wrong_read = replace(carry.featurizer, read=np.roll(carry.featurizer.read, 1, axis=0))
    assert right(wrong_read) < 0.6
    assert right(replace(carry.featurizer, write=carry.featurizer.write / 4)) < 0.6


@pytest.mark.parametrize("name", ["sort", "grammar", "copy_text", "modular"])
def test_reading_what_was_written_gives_it_back(name):
    for variable in causal_model(of_compiled(compiled(name), name), Wanted(examples=64)).variables:
        featurizer = variable.featurizer
        one = np.eye(featurizer.read.shape[1])
        assert np.allclose(featurizer.read.T @ featurizer.write, one)
        assert np.allclose(featurizer.basis.T @ featurizer.basis, one)


def test_variables_of_a_model_without_mask_are_exchanged_too():
    prompts = Prompts("ab", 4, causal=False)
    any_b = select(prompts.token == "b", True).exists()
    program = Program(
        prompts=prompts, rules=[predict("b").when(any_b), predict(prompts.token).otherwise()]
    )
    found = causal_model(of_compiled(compile_program(program)), Wanted())
    assert found.variables[0].name == "token"
    for variable in found.variables:
        assert variable.tally.tried == variable.tally.right > 0


def checked(program):
    try:
        subject = of_compiled(compile_program(program))
        found = causal_model(subject, Wanted(examples=64))
    except (CompileError, GroundTruthError):
        return
    again = causal_model(subject, Wanted(examples=64, seed=1))
    others = {each.name: each for each in (*again.variables, *again.left_out)}
    for variable in found.variables:
        tally = others[variable.name].tally
        assert tally is None or tally.tried == tally.right, variable.name


@settings(max_examples=sweep(60))
@given(rule_programs())
def test_what_is_right_once_is_right_again_for_random_rules(program):
    checked(program)


@settings(max_examples=sweep(90))
@given(sequence_programs())
def test_what_is_right_once_is_right_again_for_random_expressions(program):
    checked(program)


def test_the_files_say_where_each_variable_is_and_what_was_tried():
    subject = of_compiled(compile_program(adder(2)))
    made = PART.make(subject, Wanted())
    data = json.loads(made.files["causal_model.json"])
    tensors = load(made.files["featurizers.safetensors"])
    assert made.summary["interventions"] == made.summary["right"]
    for variable in data["variables"]:
        name, width = variable["name"], variable["width"]
        assert tensors[f"{name}.read"].shape == (subject.model.shape.n_embd, width)
        assert tensors[f"{name}.codewords"].shape == (len(variable["values"]), width)
    carry = next(each for each in data["variables"] if each["name"] == "carry")
    assert carry["hook"]["transformer_lens"] == "blocks.0.hook_resid_post"
    listed = json.loads(made.files["interventions.json"])["interventions"]
    assert {each["variable"] for each in listed} == {each["name"] for each in data["variables"]}
    for each in listed:  # what is written down is right, run again from the files alone
        variable = next(v for v in data["variables"] if v["name"] == each["variable"])
        states = stream_states(subject.model, np.array([each["base"], each["source"]]))
        stream = states[variable["state"]].astype(np.float64)
        read, write = (tensors[f"{each['variable']}.{part}"] for part in ("read", "write"))
        place = each["position"]
        stream[0, place] += (stream[1, place] - stream[0, place]) @ read @ write.T
        logits = subject.model.resume(stream[:1], variable["state"])[0]
        for position, answer in each["answers"]:
            assert logits[position].argmax() == answer


def test_codewords_are_read_from_the_stream_of_the_model():
    subject = of_compiled(compile_program(adder(2)))
    found = by_name(causal_model(subject, Wanted()))
    for name in ("a", "carry", "token"):
        variable = found[name]
        for each in variable.exchanges:
            stream = stream_states(subject.model, each.sample.texts)[variable.done]
            numbers = variable.featurizer.numbers(stream)
            distance = np.abs(numbers[..., None, :] - variable.codewords).max(axis=-1)
            nearest = distance.argmin(axis=-1)
            column = each.sample.outcome.columns[variable.node]
            meant = np.array([variable.values.index(v) if v is not None else -1 for v in column.values])
            assert np.array_equal(nearest, np.broadcast_to(meant[column.codes], nearest.shape))
            assert distance.min(axis=-1).max() < 0.01


def test_prompts_that_are_too_few_to_differ_are_said_to_be_and_more_are_enough():
    subject = of_compiled(compiled("counter_machine"), "counter_machine")
    examples, refusals = 16, []
    while len(refusals) < 4:
        try:
            made = PART.make(subject, Wanted(examples))
            break
        except GroundTruthError as error:
            refusals.append(error)
            examples = int(str(error.fix).rpartition("examples=")[2])
    assert refusals
    assert all("no two differ" in error.what and error.where for error in refusals)
    assert made.summary["variables"] > 1


def test_a_program_whose_answer_is_always_the_same_has_no_variable_but_other_parts():
    program = Program("ab", 3, [predict("a").otherwise()])
    subject = of_compiled(compile_program(program), "always_a")
    with pytest.raises(GroundTruthError, match="no answer of always_a depends") as refused:
        PART.make(subject, Wanted())
    names = str(refused.value.fix).rpartition(" ")[2].split(",")
    assert all(part.make(subject, Wanted()).files for part in chosen_parts(names))


def test_models_without_a_causal_model_are_refused_with_a_fix(tmp_path):
    program = facts("sort")["program"]
    folder = compile_program(program).save(tmp_path / "sort")
    (folder / CERTIFICATE).unlink()  # it alone states what the circuits are for
    with pytest.raises(GroundTruthError, match="only circuits are known") as refused:
        PART.make(of_checkpoint(read_checkpoint(folder)), Wanted())
    assert refused.value.fix
    token = program.prompts.token
    values = of_compiled(compile_sequences({"before": token.at(-1, default="a")}))
    with pytest.raises(GroundTruthError, match="this model computes values") as refused:
        PART.make(values, Wanted())
    names = str(refused.value.fix).rpartition(" ")[2].split(",")
    assert all(part.make(values, Wanted()).files for part in chosen_parts(names))
