"""Features, components and frozen numbers of a disguise: moved, and true when it is run."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from gallery import compiled
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load
from sweeps import sweep

from handcraft import compile_program
from handcraft.disguise import Distract, Match, Noise, Pad, Permute, Rotate, Split, Superpose, disguise
from handcraft.errors import GroundTruthError, HandcraftError
from handcraft.ground_truth import Wanted, of_compiled, of_disguise, write_ground_truth
from handcraft.ground_truth.components import moved
from handcraft.ground_truth.components.part import make_components
from handcraft.ground_truth.components.partition import added_up, partition, without
from handcraft.ground_truth.contexts import sample_contexts
from handcraft.ground_truth.features.beside import BESIDE, numbers_beside
from handcraft.ground_truth.features.part import states_with_features
from handcraft.ground_truth.freeze import make_freeze
from handcraft.ground_truth.stream.featurizer import stream_states
from handcraft.ground_truth.stream.ideal_states import ideal_states
from handcraft.testing import rule_programs
from handcraft.weights.compiled_part import CompiledPart

WAYS = {
    "all": (Split(2, 2), Distract(1, 8), Permute(), Rotate()),
    "pairs": (Distract(2, 4, "pairs"), Rotate()),
    "padded": (Split(3, 2), Pad(n_embd=60, n_layer=6, n_vocab=29)),
    "matched": (Distract(1, 2), Match()),
}
PROGRAMS = ["aab", "induction", "sort"]


@cache
def disguised(name, way, architecture="gpt2"):
    made = disguise(compiled(name, architecture), WAYS[way], seed=1)
    return of_disguise(
        of_compiled(compiled(name, architecture), name), made.model, made.carried, name=name
    )


def texts_of(subject, count, seed):
    return [each.texts for each in sample_contexts(subject, count, seed).by_length]


def over_the_bound(subject, states, texts):
    """How far the stream of a disguise is from what features add up to, over the stated bound."""
    worst = 0.0
    for rows in texts:
        ideal, streams = ideal_states(subject.circuits, rows), stream_states(subject.model, rows)
        for number, state in enumerate(states):
            numbers, own = dict(ideal.of_state(2 * number)), state.found
            stream = streams[state.done]
            if own.features[-1].of == BESIDE:  # what is written there is known from the run alone
                numbers[BESIDE] = stream.mean(axis=-1, keepdims=True) * 0
                active = [own.activations(numbers)]
                numbers[BESIDE] = numbers_beside(own, active, [stream])[0]
            difference = np.abs(own.stream(own.activations(numbers)) - stream).max()
            worst = max(worst, difference / state.bound)
    return worst


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_features_add_up_to_the_stream_of_the_disguise_on_other_prompts(name, way):
    subject = disguised(name, way)
    states = states_with_features(subject, texts_of(subject, 64, 0))
    assert len(states) == len(subject.circuits.blocks) + 1
    assert max(state.bound for state in states) <= 1 / 16
    assert over_the_bound(subject, states, texts_of(subject, 128, 1)) <= 1


def test_what_distractors_write_into_the_mean_is_a_feature_and_what_cancels_is_none():
    names = {
        way: [
            state.found.features[-1].of == BESIDE
            for state in states_with_features(
                disguised("induction", way), texts_of(disguised("induction", way), 64, 0)
            )
        ]
        for way in ("all", "pairs")
    }
    assert names == {"all": [False, True, True], "pairs": [False, False, False]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_components_add_up_to_the_disguise_and_are_worth_what_they_were(name, way):
    subject = disguised(name, way)
    made = make_components(subject, Wanted(64))
    data, before = (
        json.loads(each.files["components.json"])
        for each in (made, make_components(subject.original, Wanted(64)))
    )
    total = {n: np.zeros(each.size) for n, each in subject.model.tensors.items()}
    tensors = load(made.files["components.safetensors"])
    for tensor, sums in total.items():
        if f"{tensor}.places" in tensors:
            np.add.at(sums, tensors[f"{tensor}.places"], tensors[f"{tensor}.values"].astype(np.float64))
    rest = max(
        np.abs(sums.reshape(subject.model.tensors[n].shape) - subject.model.tensors[n]).max()
        for n, sums in total.items()
    )
    largest = max(np.abs(each).max() for each in subject.model.tensors.values())
    assert rest <= data["rest"] + 1e-6 * largest <= 3e-6 * largest
    known = {each["name"]: each["without"] for each in before["components"]}
    for each in data["components"]:
        if each["serves"] == "rule":
            assert each["without"] == known[each["name"]]
        if "distractor" in each["name"]:
            assert each["without"]["changed"] == 0 < each["without"]["answers"]


def test_without_the_component_of_a_rule_a_disguise_follows_the_next_rule():
    made = make_components(disguised("sort", "all"), Wanted(64))
    assert made.summary["as_that_rule"] == made.summary["answers_of_another_rule"] > 30


def test_a_component_that_is_moved_wrongly_does_not_add_up():
    """The sum can fail: without one component it is another model."""
    subject = disguised("aab", "all")
    parts = partition(subject.original.weights, subject.meaning.rules)
    components = moved.moved_components(subject, parts)
    total = added_up(subject.model, components[1:])
    assert max(np.abs(total[n] - each).max() for n, each in subject.model.tensors.items()) > 0.1
    left = without(subject.model, components[0])
    assert any((left.tensors[n] != each).any() for n, each in subject.model.tensors.items())


def test_components_that_would_be_too_many_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(moved, "NUMBERS_UP_TO", 100)
    with pytest.raises(GroundTruthError, match="more than 100 numbers") as refused:
        make_components(disguised("aab", "all"), Wanted(16))
    assert "carried_weights" in str(refused.value.fix)


@pytest.mark.parametrize("architecture", ["gpt2", "block"])
@pytest.mark.parametrize("way", ["pairs", "padded"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_weight_of_a_disguise_is_frozen(name, way, architecture):
    subject = disguised(name, way, architecture)
    masks = load(make_freeze(subject, Wanted()).files["freeze.safetensors"])
    for tensor, values in subject.model.tensors.items():
        if "ln_" not in tensor:
            assert masks[tensor][values != 0].all(), tensor


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_free_in_a_padded_disguise_changes_no_dimension_of_the_rest(name):
    """Exactly so in `block`, which has no LayerNorm."""
    subject = disguised(name, "padded", "block")
    model, part = subject.model, CompiledPart.of(subject.model)
    masks = load(make_freeze(subject, Wanted()).files["freeze.safetensors"])
    free = ~part.dimensions
    assert free.any()
    random = np.random.default_rng(0)
    changed = type(model)(
        model.architecture,
        model.shape,
        model.vocabulary,
        {
            n: np.where(masks[n], each, random.normal(size=each.shape)).astype(each.dtype)
            for n, each in model.tensors.items()
        },
    )
    for rows in texts_of(subject, 32, 0):
        one, other = (stream_states(each, rows) for each in (model, changed))
        for before, after in zip(one, other, strict=True):
            np.testing.assert_array_equal(before[..., part.dimensions], after[..., part.dimensions])


@settings(max_examples=sweep(30), deadline=None)
@given(
    program=rule_programs(max_tokens=4, max_context=5, max_rules=3),
    way=st.sampled_from([*WAYS]),
    seed=st.integers(0, 99),
)
def test_so_are_those_of_random_rules(program, way, seed):
    made = compile_program(program, positions="auto")
    try:
        hidden = disguise(made, WAYS[way], seed=seed, untie=True)
    except HandcraftError:
        return
    subject = of_disguise(of_compiled(made), hidden.model, hidden.carried)
    states = states_with_features(subject, texts_of(subject, 32, 0))
    assert over_the_bound(subject, states, texts_of(subject, 32, 1)) <= 1
    data = json.loads(make_components(subject, Wanted(32)).files["components.json"])
    largest = max(float(np.abs(each).max()) for each in subject.model.tensors.values())
    assert data["rest"] <= 2e-6 * largest


@pytest.mark.parametrize("transform", [Superpose(14), Noise(0.5)])
def test_superposition_and_noise_are_within_what_is_stated(transform):
    made = disguise(compiled("induction"), [transform], seed=1, untie=True)
    subject = of_disguise(of_compiled(compiled("induction")), made.model, made.carried)
    states = states_with_features(subject, texts_of(subject, 64, 0))
    assert over_the_bound(subject, states, texts_of(subject, 64, 1)) <= 1


def test_a_disguise_has_every_part(tmp_path):
    written = write_ground_truth(disguised("aab", "all"), tmp_path / "out", wanted=Wanted(32))
    assert written.left_out == ()
    assert {"features/", "components.json", "freeze.safetensors"} <= set(written.files)
