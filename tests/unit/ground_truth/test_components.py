"""Weight components add up to the model, bit for bit, and each is what serves one thing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gallery import compiled, facts
from hypothesis import given, settings
from safetensors.numpy import load
from sweeps import sweep
from truth_programs import adder

from handcraft import Program, Prompts, compile_program, predict
from handcraft.errors import CompileError, GroundTruthError
from handcraft.ground_truth import Wanted, of_compiled
from handcraft.ground_truth.causal.mechanisms import NOTHING, Mechanisms
from handcraft.ground_truth.components.ablation import Baseline, ablate
from handcraft.ground_truth.components.part import PART
from handcraft.ground_truth.components.partition import Serves, added_up, partition, without
from handcraft.ground_truth.contexts import sample_contexts
from handcraft.testing import rule_programs, sequence_programs


def parted(made):
    source = made.source
    return partition(made.weights, source.decisions if isinstance(source, Program) else ())


def checked(made):
    components = parted(made)
    total = added_up(made.model, components)
    for name, tensor in made.model.tensors.items():
        assert total[name].tobytes() == tensor.tobytes()
    assert sum(each.size for each in components) == made.model.nonzero_parameters
    for name in made.model.tensors:  # no weight is in two
        places = [place for each in components for place in each.places.get(name, ())]
        assert len(places) == len(set(places))
    names = [each.name for each in components]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("architecture", ["gpt2", "block"])
@pytest.mark.parametrize("name", ["aab", "add", "grammar", "ngram", "sort", "histogram", "modular"])
def test_components_add_up_to_the_model(name, architecture):
    checked(compiled(name, architecture))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_they_do_in_every_dtype(dtype):
    checked(compiled("aab", "gpt2", dtype))


@settings(max_examples=sweep(60))
@given(rule_programs())
def test_they_do_for_random_rules(program):
    checked(compile_program(program))


@settings(max_examples=sweep(60))
@given(sequence_programs())
def test_they_do_for_random_expressions(program):
    try:
        made = compile_program(program)
    except CompileError:
        return
    checked(made)


def ablations(made, examples=256):
    subject, mechanisms = of_compiled(made), Mechanisms.of(made.source)
    contexts = sample_contexts(subject, examples, 0).by_length
    baselines = [Baseline.of(made.model, each, mechanisms) for each in contexts]
    return {each.name: (each, ablate(made.model, each, baselines, mechanisms)) for each in parted(made)}


@pytest.mark.parametrize("name", ["aab", "brackets", "maximum", "sort", "histogram", "grammar"])
def test_without_a_rule_the_next_rule_answers_and_no_other_answer_changes(name):
    found = ablations(compiled(name))
    rules = [(c, a) for c, a in found.values() if c.serves is Serves.RULE and a.replaced]
    assert rules
    for component, ablation in rules:
        assert ablation.as_replaced == ablation.replaced, component.name
        assert ablation.changed == ablation.decided_changed, component.name


def test_without_a_value_all_rules_that_read_it_fail():
    found = ablations(compile_program(adder(2)))
    component, ablation = found["carry"]
    assert component.serves is Serves.VALUE
    assert 0 < ablation.changed < ablation.answers
    _, everything = found["the token embedding"]
    assert everything.changed > ablation.changed


def test_a_component_of_another_rule_changes_other_answers():
    """The test above can fail: leaving out the wrong weights is seen in the counts."""
    made = compiled("brackets")
    components = {each.name: each for each in parted(made)}
    mechanisms = Mechanisms.of(made.source)
    contexts = sample_contexts(of_compiled(made), 256, 0).by_length
    baselines = [Baseline.of(made.model, each, mechanisms) for each in contexts]
    last, other = components["predict ( otherwise"], components["predict ) after (("]
    swapped = type(last)(other.name, other.serves, other.origins, other.rules, last.places)
    ablation = ablate(made.model, swapped, baselines, mechanisms)
    assert ablation.as_replaced < ablation.replaced
    assert ablation.changed > ablation.decided_changed


def test_rules_have_the_numbers_of_the_program():
    made = compiled("brackets")
    by_rule = {each.rules[0]: each.name for each in parted(made) if each.serves is Serves.RULE}
    assert [by_rule[i] for i in range(4)] == [str(rule) for rule in made.source.rules]


def test_a_weight_that_serves_two_rules_is_in_a_component_of_both():
    prompts = Prompts("ab", 4)
    flag = prompts.token.at(-1, default="a") == "b"
    program = Program(
        prompts=prompts,
        rules=[
            predict("a").when(flag & (prompts.position > 1)),
            predict("b").when(flag),
            predict("a").otherwise(),
        ],
    )
    checked(compile_program(program))


def test_the_files_hold_the_model():
    made = compiled("sort")
    subject = of_compiled(made, "sort")
    part = PART.make(subject, Wanted())
    data, tensors = (
        json.loads(part.files["components.json"]),
        load(part.files["components.safetensors"]),
    )
    for name, shape in data["tensors"].items():
        whole = np.zeros(shape, dtype=data["dtype"])
        for number, each in enumerate(data["components"]):
            mask = tensors[f"{name}.component"] == number if f"{name}.component" in tensors else []
            assert np.sum(mask) == each["weights"].get(name, 0)
            if np.any(mask):
                whole.reshape(-1)[tensors[f"{name}.places"][mask]] += tensors[f"{name}.values"][mask]
        assert whole.tobytes() == made.model.tensors[name].tobytes()
    rules = [each for each in data["components"] if each["serves"] == "rule"]
    assert [each["rules"] for each in rules] == [[1], [2], [3], [4], [5]]
    assert all(each["without"]["as_replaced"] == each["without"]["replaced"] for each in rules)


def test_a_weight_without_origin_is_refused():
    made = compiled("aab")
    tensor = made.model.tensors["wpe.weight"].copy()
    free = np.argwhere(tensor == 0)[0].tolist()
    tensor[tuple(free)] = 1
    model = type(made.model)(
        made.model.architecture,
        made.model.shape,
        made.model.vocabulary,
        {**made.model.tensors, "wpe.weight": tensor},
    )
    weights = type(made.weights)(model, made.weights.names, made.weights.origins, made.weights.rules)
    with pytest.raises(GroundTruthError, match="it is not known what") as refused:
        partition(weights)
    assert refused.value.fix


def test_leaving_out_leaves_the_model_as_it_was():
    made = compiled("aab")
    before = {name: tensor.copy() for name, tensor in made.model.tensors.items()}
    left = without(made.model, parted(made)[0])
    assert any(not np.array_equal(left.tensors[n], before[n]) for n in before)
    assert all(np.array_equal(made.model.tensors[n], before[n]) for n in before)


def test_circuits_have_components_but_no_rules():
    circuits = facts("by_hand")["circuits"]
    part = PART.make(of_compiled(compile_program(circuits)), Wanted(examples=32))
    assert part.summary["rules"] == 0
    assert NOTHING == -1
