"""Ground truth of every program of the gallery: what is written of it is true of its model."""

from __future__ import annotations

import numpy as np
import pytest
from gallery import FOLDER, compiled
from sweeps import DEEP

from handcraft.ground_truth import Wanted, of_compiled
from handcraft.ground_truth.causal.mechanisms import Mechanisms
from handcraft.ground_truth.causal.variables import causal_model
from handcraft.ground_truth.components.ablation import Baseline, ablate
from handcraft.ground_truth.components.partition import Serves, added_up, partition
from handcraft.ground_truth.contexts import sample_contexts
from handcraft.ground_truth.features.part import states_with_features
from handcraft.ground_truth.stream.featurizer import stream_states
from handcraft.ground_truth.stream.ideal_states import ideal_states

LONG = ("subleq", "tictactoe")
"""Programs with a hundred values: a deep run tries their interventions too."""

NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "by_hand")
FEWER = [name for name in NAMES if DEEP or name not in LONG]
WANTED = Wanted(examples=256 if DEEP else 128)


@pytest.mark.parametrize("name", FEWER)
def test_interventions_on_every_variable_are_right(name):
    found = causal_model(of_compiled(compiled(name), name), WANTED)
    for variable in found.variables:
        assert variable.tally.tried == variable.tally.right > 0
    assert "token" in {variable.name for variable in found.variables}


@pytest.mark.parametrize("name", NAMES)
def test_features_add_up_to_the_residual_stream(name):
    subject = of_compiled(compiled(name), name)
    sample = [each.texts for each in sample_contexts(subject, 64, 0).by_length]
    states = states_with_features(subject, sample)
    for contexts in sample_contexts(subject, 16, 1).by_length:
        ideal = ideal_states(subject.circuits, contexts.texts)
        streams = stream_states(subject.model, contexts.texts)
        for number, state in enumerate(states):
            active = state.found.activations(ideal.of_state(2 * number))
            difference = np.abs(state.found.stream(active) - streams[state.done]).max()
            assert difference <= state.bound <= 1 / 16


@pytest.mark.parametrize("name", NAMES)
def test_components_add_up_to_the_model(name):
    made = compiled(name)
    total = added_up(made.model, partition(made.weights, made.source.decisions))
    assert all(total[n].tobytes() == tensor.tobytes() for n, tensor in made.model.tensors.items())


@pytest.mark.parametrize("name", [name for name in FEWER if name != "ngram"])
def test_without_the_weights_of_a_rule_the_next_rule_answers(name):
    """Not where rules predict probabilities: each of those completes the scale of the logits."""
    made = compiled(name)
    mechanisms = Mechanisms.of(made.source)
    contexts = sample_contexts(of_compiled(made, name), 64, 0).by_length
    baselines = [Baseline.of(made.model, each, mechanisms) for each in contexts]
    for component in partition(made.weights, made.source.decisions):
        if component.serves is Serves.RULE:
            found = ablate(made.model, component, baselines, mechanisms)
            assert found.as_replaced == found.replaced, component.name
