"""Features: what is active adds up to the residual stream of the model, on any prompt."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gallery import compiled, facts
from hypothesis import given, settings
from safetensors.numpy import load
from sweeps import sweep
from truth_programs import adder, twice

from handcraft import compile_program, compile_sequences
from handcraft.errors import CompileError
from handcraft.ground_truth import Wanted, of_compiled
from handcraft.ground_truth.contexts import sample_contexts
from handcraft.ground_truth.features.part import PART, make_features, states_with_features
from handcraft.ground_truth.stream.featurizer import stream_states
from handcraft.ground_truth.stream.ideal_states import ideal_states
from handcraft.testing import rule_programs, sequence_programs

SMALL = 1 / 16
"""No bound is larger: numbers that are stored for different values differ by much more."""


def texts_of(subject, count, seed):
    return [each.texts for each in sample_contexts(subject, count, seed).by_length]


def largest_difference(subject, states, texts):
    """How far the stream of the model is from what features add up to, over the stated bound.

    The bound grows with the difference in the sample, so it must be small itself.
    """
    assert max(state.bound for state in states) <= SMALL
    worst = 0.0
    for rows in texts:
        ideal, streams = ideal_states(subject.circuits, rows), stream_states(subject.model, rows)
        for number, state in enumerate(states):
            circuit_state = 2 * number
            active = state.found.activations(ideal.of_state(circuit_state))
            difference = np.abs(state.found.stream(active) - streams[state.done]).max()
            worst = max(worst, difference / state.bound)
    return worst


NAMES = ["aab", "add", "copy_text", "dyck2", "grammar", "histogram", "ioi", "modular", "sort", "thirds"]


@pytest.mark.parametrize("architecture", ["gpt2", "block"])
@pytest.mark.parametrize("name", NAMES)
def test_features_add_up_to_the_stream_on_other_prompts(name, architecture):
    subject = of_compiled(compiled(name, architecture), name)
    states = states_with_features(subject, texts_of(subject, 128, 0))
    assert len(states) == len(subject.circuits.blocks) + 1
    assert largest_difference(subject, states, texts_of(subject, 256, 1)) <= 1


def checked(program):
    try:
        subject = of_compiled(compile_program(program))
    except CompileError:
        return
    states = states_with_features(subject, texts_of(subject, 64, 0))
    if len(states) == len(subject.circuits.blocks) + 1:
        assert largest_difference(subject, states, texts_of(subject, 64, 1)) <= 1


@settings(max_examples=sweep(40))
@given(sequence_programs())
def test_they_do_for_random_expressions(program):
    checked(program)


@settings(max_examples=sweep(40))
@given(rule_programs())
def test_they_do_for_random_rules(program):
    checked(program)


def test_a_missing_feature_is_seen():
    subject = of_compiled(compile_program(adder(2)))
    (state,) = states_with_features(subject, texts_of(subject, 128, 0))[1:2]
    (rows,) = texts_of(subject, 128, 0)
    active = state.found.activations(ideal_states(subject.circuits, rows).of_state(2))
    carry = [feature.name for feature in state.found.features].index("carry")
    active[..., carry] = 0
    stream = stream_states(subject.model, rows)[state.done]
    assert np.abs(state.found.stream(active) - stream).max() > 0.9


def test_the_token_has_a_feature_for_each_value_and_a_number_has_one():
    subject = of_compiled(compile_program(adder(2)))
    embedding, first, last = states_with_features(subject, texts_of(subject, 128, 0))
    tokens = [f"token {token}" for token in "0123456789+="]
    assert [f.name for f in embedding.found.features][: len(tokens)] == tokens
    assert [f.name for f in first.found.features].count("carry") == 1
    assert "carry" not in [f.name for f in embedding.found.features]
    (exclusive,) = embedding.found.exclusive.values()
    assert exclusive == list(range(len(tokens)))
    active = embedding.activations[0]
    assert (active[..., exclusive].sum(axis=-1) == 1).all()
    assert not last.found.exclusive  # there the dimensions of the token are logits


def test_activations_are_1_on_average_where_a_feature_is_active():
    subject = of_compiled(compile_program(twice()))
    for state in states_with_features(subject, texts_of(subject, 512, 0)):
        flat = np.concatenate([each.reshape(-1, each.shape[-1]) for each in state.activations])
        for column, feature in zip(flat.T, state.found.features, strict=True):
            assert (column >= 0).all()
            if feature.codeword is None:
                assert np.isclose(column[column > 0].mean(), 1)


def test_the_files_agree_with_one_another():
    subject = of_compiled(compile_program(adder(2)))
    made = PART.make(subject, Wanted())
    listed = json.loads(made.files["features/features.json"])["states"]
    active = load(made.files["features/activations.safetensors"])
    streams = stream_states(subject.model, active["tokens"])
    for state in listed:
        folder = f"features/{state['folder']}"
        config = json.loads(made.files[f"{folder}/synthetic_model_config.json"])
        tensors = load(made.files[f"{folder}/synthetic_model.safetensors"])
        assert config["num_features"] == len(state["features"]) == len(tensors["feature_vectors"])
        assert config["hidden_dim"] == subject.model.shape.n_embd
        stream = active[state["folder"]] @ tensors["feature_vectors"] + tensors["bias"]
        assert np.abs(stream - streams[state["state"]]).max() <= state["bound"]
    hierarchy = json.loads(made.files["features/embedding/hierarchy.json"])
    (token,) = hierarchy["roots"]
    assert token["mutually_exclusive_children"]
    assert [child["feature_id"] for child in token["children"]][:2] == ["token 0", "token 1"]


def test_a_model_of_values_has_features_too():
    token = facts("induction")["program"].prompts.token
    subject = of_compiled(compile_sequences({"before": token.at(-1, default="a")}))
    made = make_features(subject, Wanted(examples=32))
    assert made.summary["features"] > 4
