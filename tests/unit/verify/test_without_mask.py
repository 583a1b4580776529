"""Without a causal mask every context is a text of its own, and runs alone."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from handcraft import compile_program
from handcraft.architecture import BLOCK
from handcraft.circuits import (
    Block,
    Circuits,
    Head,
    Relation,
    bias,
    embed_position,
    embed_token,
    ideal_next,
    one_hot,
    project,
    scalar,
    value_map,
)
from handcraft.verify import every_context, measure_facts, random_contexts, verify
from handcraft.verify.tally import Tally
from handcraft.verify.texts.batch import Batch
from handcraft.verify.texts.contexts import longer_contexts

# `handcraft.verify` also exports a function of that name, so the modules are asked for by their own.
contexts_module = importlib.import_module("handcraft.verify.texts.contexts")

SIZES = [(1, 1), (1, 5), (2, 4), (3, 3), (5, 2)]


def unmasked(model):
    return replace(model, architecture=model.architecture.without_mask())


def contexts_of(batch):
    return [tuple(batch.context(i)) for i in range(len(batch))]


def all_contexts(size, longest):
    return [ids for n in range(1, longest + 1) for ids in product(range(size), repeat=n)]


def assert_alone(model, batch):
    """The logits are those of a forward pass over each context alone."""
    for context, place, logits in zip(contexts_of(batch), batch.places, batch.logits, strict=True):
        alone = model.forward([context])[0, place]
        np.testing.assert_allclose(logits, alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("size", "longest"), SIZES)
@pytest.mark.parametrize("numbers", [1, 30, 1 << 21])
def test_each_context_runs_once_and_alone(random_model, monkeypatch, size, longest, numbers):
    monkeypatch.setattr(contexts_module, "TEXT_NUMBERS", numbers)
    model = unmasked(random_model(size, longest))
    seen = []
    for batch in every_context(model, longest):
        assert batch.is_last.all()
        assert_alone(model, batch)
        seen += contexts_of(batch)
    assert seen == all_contexts(size, longest)


@pytest.mark.parametrize("is_masked", [True, False])
def test_each_position_of_each_context_is_answered(random_model, is_masked):
    model = random_model(3, 4)
    model = model if is_masked else unmasked(model)
    seen = Counter()
    for batch in every_context(model, 3, at_every_position=True):
        assert_alone(model, batch)
        seen.update(zip(contexts_of(batch), batch.places.tolist(), strict=True))
    wanted = [(ids, place) for ids in all_contexts(3, 3) for place in range(len(ids))]
    assert sorted(seen) == sorted(wanted)
    assert set(seen.values()) == {1}


@pytest.mark.parametrize("at_every_position", [False, True])
def test_a_sample_runs_alone(random_model, at_every_position):
    model = unmasked(random_model(3, 6))
    batches = list(random_contexts(model, 100, 1, 6, at_every_position=at_every_position))
    assert sum(int(batch.is_last.sum()) for batch in batches) == 100
    assert all(batch.is_last.all() for batch in batches) != at_every_position
    for batch in batches:
        assert_alone(model, batch)


def test_longer_contexts_are_the_same_as_with_a_mask_and_run_alone(random_model):
    model = random_model(3, 9)
    texts = np.random.default_rng(5).integers(0, 3, size=(2, 9))
    drawn = [c for batch in longer_contexts(model, texts, 4) for c in contexts_of(batch)]
    found = []
    for batch in longer_contexts(unmasked(model), texts, 4):
        assert_alone(unmasked(model), batch)
        found += contexts_of(batch)
    assert sorted(found) == sorted(drawn)


def test_a_verdict_is_that_of_every_context_alone(random_model, program):
    model = unmasked(random_model(3, 4))
    margins = {}
    for ids in all_contexts(3, 4):
        logits = model.forward([ids])[0, -1]
        right = program.next_token(ids)
        margins[ids] = float(logits[right] - np.delete(logits, right).max())
    report = verify(model, program)
    assert (report.contexts, report.tried) == (120, 120)
    assert report.failed == sum(not margin > 0 for margin in margins.values()) > 0
    assert report.margin == pytest.approx(min(margins.values()))
    with_mask = verify(replace(model, architecture=BLOCK), program)
    assert report.failed != with_mask.failed  # so that running them with the mask would be noticed


def test_an_answer_within_a_context_is_reported_with_its_position(random_model):
    model = random_model(3, 4)
    texts = np.array([[0, 1, 2]])
    logits = np.zeros((1, 3, 3))
    logits[0, [0, 1, 2], [2, 1, 0]] = [3, 1, 2]
    batch = Batch.of_positions(texts, logits)
    tally = Tally(model)
    tally.add(batch, np.array([2, 0, 1]))
    assert (tally.found.tried, tally.found.failed) == (1, 2)
    inside, last = tally.found.failures
    assert (inside.position, inside.place) == (1, "at position 1 of 'abc'")
    assert (inside.expected, inside.answered, inside.margin) == ("a", "b", -1)
    assert (last.position, last.place) == (None, "after 'abc'")
    assert (tally.found.margin, tally.found.margin_context, tally.found.margin_position) == (
        -2,
        "abc",
        None,
    )


def majority(*, causal):
    """b where more tokens are b than a, else a; a tie goes to the token itself."""
    position, token, sum_ = one_hot("position", range(3)), one_hot("token", "ab"), scalar("sum")
    head = Head(
        "mean",
        attends=Relation("all", (), ()),
        moves=(value_map(token, {"a": -1, "b": 1}, into=sum_),),
        writes=(project(sum_, into=token, numbers={"b": 300}),),
    )
    return Circuits(
        "ab",
        3,
        embedding=[embed_position(position), embed_token(token)],
        scratch=[sum_],
        blocks=[Block(heads=(head,), attention_bias=(bias(token, {"a": 0}),))],
        unembedding=token,
        causal=causal,
    )


@pytest.fixture
def everywhere():
    """A model without mask, and the circuits that it is made of."""
    circuits = majority(causal=False)
    return compile_program(circuits, architecture=BLOCK.without_mask()).model, circuits


def test_circuits_without_mask_are_judged_at_every_position(everywhere):
    model, circuits = everywhere
    report = verify(model, circuits)
    assert report.passed
    assert (report.contexts, report.tried, report.failed) == (14, 14, 0)
    assert verify(model, circuits, every_up_to=13, sample=50).passed


def test_a_model_that_masks_is_found_wrong_before_the_ends_only(everywhere):
    model, circuits = everywhere
    masked = replace(model, architecture=BLOCK)
    wrong = set()
    for ids in all_contexts(2, 3):
        meant = ideal_next(circuits, [ids])[0]
        for place in np.flatnonzero(masked.forward([ids])[0].argmax(axis=-1) != meant).tolist():
            wrong.add((circuits.vocabulary.text(ids), place))
    report = verify(masked, circuits)
    assert (report.tried, report.failed) == (14, len(wrong))
    assert {(failure.context, failure.position) for failure in report.failures} == wrong != set()
    assert report.margin < 0
    assert (report.margin_context, report.margin_position) in wrong
    assert report.margin_place == f"at position {report.margin_position} of {report.margin_context!r}"
    data = report.to_json()
    assert data["smallest_margin_position"] == report.margin_position
    assert {(failure["context"], failure["position"]) for failure in data["failures"]} == wrong
    sampled = verify(masked, circuits, every_up_to=13, sample=50)
    assert {(failure.context, failure.position) for failure in sampled.failures} <= wrong
    assert sampled.failed > 0


def test_causal_circuits_are_judged_by_what_follows_a_context_alone():
    circuits = majority(causal=True)
    model = unmasked(compile_program(circuits, architecture=BLOCK).model)
    report = verify(model, circuits)  # at the last position, mask or not, everything is seen
    assert report.passed
    assert report.tried == 14
    inside = [model.forward([ids])[0].argmax(axis=-1) != ideal_next(circuits, [ids])[0] for ids in
              all_contexts(2, 3)]  # fmt: skip
    assert any(each.any() for each in inside)


def swapped(model):
    """The model with the keys and the queries of every block changed for each other.

    A head that looked back at a place now looks forward from it.
    """
    tensors = dict(model.tensors)
    for name in tensors:
        if ".attn.c_attn." in name:
            q, k, v = np.split(tensors[name], 3, axis=-1)
            tensors[name] = np.concatenate([k, q, v], axis=-1)
    return replace(model, tensors=tensors)


def test_the_facts_are_measured_over_all_positions(program):
    compiled = compile_program(program, architecture="block")
    model = swapped(compiled.model)
    masked = measure_facts(replace(compiled, model=model))
    facts = measure_facts(replace(compiled, model=unmasked(model)))
    assert facts.gap.keys() == masked.gap.keys()
    assert any(facts.gap[head] != masked.gap[head] for head in facts.gap)


def test_the_facts_are_those_of_the_scores(program):
    """The smallest lead over all texts of every length, found head by head."""
    compiled = compile_program(program, architecture="block", dtype="float64")
    model = unmasked(compiled.model)
    heads = len(compiled.plan.layers[0].heads)
    smallest = dict.fromkeys(range(heads), np.inf)
    for ids in all_contexts(3, 4):
        scores = model.trace(program.vocabulary.text(ids))["h.0.attn.scores"]
        for head in range(heads):
            for row in scores[head]:
                behind = row[row < row.max() - 1e-3]
                lead = row.max() - behind.max() if len(behind) else np.inf
                smallest[head] = min(smallest[head], lead)
    facts = measure_facts(replace(compiled, model=model))
    found = {head: facts.gap[f"h.0.attn head {head}"] for head in range(heads)}
    assert found == pytest.approx(smallest)


def test_a_short_text_is_measured_too(program):
    """What only a text of one token shows: a head that wants to look on has nowhere to go."""
    compiled = compile_program(program, architecture="block")
    seen = []
    meter = importlib.import_module("handcraft.verify.facts")
    for model, lengths in ((compiled.model, [4]), (unmasked(compiled.model), [1, 2, 3, 4])):
        texts, _ = meter._texts(replace(compiled, model=model))
        assert [each.shape[1] for each in texts] == lengths
        assert [len(each) for each in texts] == [3**length for length in lengths]
        seen.append(texts[-1])
    np.testing.assert_array_equal(*seen)


def test_a_sample_of_texts_is_spread_over_the_lengths(program, monkeypatch):
    meter = importlib.import_module("handcraft.verify.facts")
    monkeypatch.setattr(meter, "EVERY_UP_TO", 0)
    compiled = compile_program(program, architecture="block")
    texts, _ = meter._texts(replace(compiled, model=unmasked(compiled.model)))
    assert [each.shape for each in texts] == [(meter.SAMPLE // 4, length) for length in (1, 2, 3, 4)]
