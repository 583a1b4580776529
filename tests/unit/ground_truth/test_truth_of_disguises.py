"""The ground truth of a disguise: moved from its original, and true of the disguise by other means."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from gallery import compiled
from slow_patching import slow_logits

from handcraft.disguise import Distract, Noise, Pad, Permute, Rotate, Split, disguise
from handcraft.disguise.carried import Place, unchanged
from handcraft.errors import GroundTruthError
from handcraft.formats import read_checkpoint
from handcraft.ground_truth import Wanted, of_checkpoint, of_compiled, of_disguise, write_ground_truth
from handcraft.ground_truth.causal.variables import causal_model
from handcraft.ground_truth.circuit.carried import carried
from handcraft.ground_truth.circuit.carry_circuit import carry_circuit
from handcraft.ground_truth.circuit.find_circuit import find_circuit
from handcraft.ground_truth.circuit.pairs import pair_rounds
from handcraft.ground_truth.contexts import drawn_texts
from handcraft.ground_truth.stream.featurizer import stream_states
from handcraft.ground_truth.stream.hook_point import model_state
from handcraft.ground_truth.values.locate_in_disguise import locate_in_disguise
from handcraft.ground_truth.values.located import locate

PROGRAMS = ["aab", "induction", "parity"]
ALL = (Split(2, 2), Distract(1, 8), Permute(), Rotate())
PADDED = (Split(3, 2), Pad(n_embd=42, n_layer=3, n_vocab=9))


@cache
def original(name):
    return of_compiled(compiled(name), name)


@cache
def disguised(name, transforms=ALL):
    made = disguise(compiled(name), transforms, seed=1)
    return of_disguise(original(name), made.model, made.carried, name=name)


@cache
def circuit_of(name, transforms=ALL):
    return carry_circuit(disguised(name, transforms), pairs=48, seed=0)


def heads_of(edge):
    """The heads at the ends of an edge."""
    ends = [Place(edge.source.layer, edge.source.head)] if edge.source.kind == "head" else []
    is_head = edge.reader.reads in ("q", "k", "v")
    return [*ends, *([Place(edge.reader.layer, edge.reader.head)] if is_head else [])]


@pytest.mark.parametrize("transforms", [ALL, PADDED])
@pytest.mark.parametrize("name", PROGRAMS)
def test_true_edges_are_those_that_were_made_of_true_ones(name, transforms):
    subject, circuit = disguised(name, transforms), circuit_of(name, transforms)
    true = {f.edge for f in find_circuit(original(name), pairs=48, seed=0).true}
    origins = {f.edge: subject.edges.origin(f.edge) for f in circuit.findings}
    assert {f.edge for f in circuit.true} == {edge for edge, old in origins.items() if old in true}
    assert {origins[f.edge] for f in circuit.true} == true
    assert circuit.kept == circuit.asked > 0
    for finding in circuit.findings:
        is_distractor = bool(subject.carried.distractor_heads.intersection(heads_of(finding.edge)))
        assert is_distractor <= (finding.connection == "added")
        assert finding.is_true == (finding.effect >= 1)
        if finding.connection in ("added", "moved"):
            assert finding.effect < 1e-4
        assert not finding.is_true or carried(subject, finding.edge)


@pytest.mark.parametrize("transforms", [ALL, PADDED])
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_witness_shows_its_edge_in_a_slow_run_of_the_disguise(name, transforms):
    model, circuit = disguised(name, transforms).model, circuit_of(name, transforms)
    numbers = model.vocabulary.numbers
    outside = [f.edge.name for f in circuit.findings if not f.is_true]
    for finding in circuit.true:
        witness = finding.witness
        edges = [finding.edge.name, *witness.copies, *([] if witness.alone else outside)]
        texts = [[numbers[i] for i in text] for text in (witness.clean, witness.corrupted)]
        assert slow_logits(model, *texts, [])[-1].argmax() == witness.right
        assert slow_logits(model, *texts, edges)[-1].argmax() == witness.wrong != witness.right


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_answer_changes_in_a_slow_run_when_edges_of_distractors_are_patched(name):
    subject, circuit = disguised(name), circuit_of(name)
    false = [f.edge.name for f in circuit.findings if f.connection in ("added", "moved")]
    numbers = subject.model.vocabulary.numbers
    pairs = next(pair_rounds(subject, 8, seed=5)).by_length[-1].part(0, 2)
    for clean, corrupted, meant in zip(pairs.clean, pairs.corrupted, pairs.meant, strict=True):
        texts = [[numbers[i] for i in text] for text in (clean.tolist(), corrupted.tolist())]
        asked = np.flatnonzero(meant >= 0)
        before = slow_logits(subject.model, *texts, [])[asked].argmax(axis=-1)
        for edges in ([false[0]], [false[-1]], false):
            after = slow_logits(subject.model, *texts, edges)[asked].argmax(axis=-1)
            assert (before == after).all(), edges


def test_distractors_in_pairs_are_inert_only_together():
    """Patching one of a pair leaves what the other writes, so its edges are true, with a witness."""
    subject = disguised("aab", (Distract(2, 4, "pairs"),))
    circuit = circuit_of("aab", (Distract(2, 4, "pairs"),))
    true = {head for finding in circuit.true for head in heads_of(finding.edge)}
    assert subject.carried.distractor_heads <= true
    assert circuit.kept == circuit.asked


@pytest.mark.parametrize("transforms", [ALL, PADDED, (Distract(2, 8, "pairs"), Rotate())])
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_variable_is_exchanged_rightly_in_the_disguise(name, transforms):
    before = causal_model(original(name), Wanted(64)).variables
    after = causal_model(disguised(name, transforms), Wanted(64)).variables
    assert [each.name for each in after] == [each.name for each in before]
    for old, new in zip(before, after, strict=True):
        assert new.tally.tried == new.tally.right == old.tally.tried > 0
        np.testing.assert_array_equal(new.codewords, old.codewords)
        basis = new.featurizer.basis
        np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-9)


@pytest.mark.parametrize("transforms", [ALL, PADDED])
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_value_is_read_from_the_stream_of_the_disguise(name, transforms):
    subject = disguised(name, transforms)
    found, left_out = locate_in_disguise(subject, texts=48)
    assert not left_out
    assert [each.name for each in found] == [each.name for each in locate(original(name), texts=48)]
    for texts in drawn_texts(subject, 40, seed=9):
        streams = stream_states(subject.model, texts), stream_states(original(name).model, texts)
        for new, old in zip(found, locate(original(name), texts=48), strict=True):
            if new.codewords is not None:
                at = [model_state(s, new.states[0]) for s in (subject, original(name))]
                decoded = new.decode(streams[0][at[0]])
                assert (decoded == old.decode(streams[1][at[1]])).all(), new.name


def test_a_wrong_map_is_noticed():
    made = disguise(compiled("aab"), [Rotate()], seed=1)
    wrong = of_disguise(original("aab"), made.model, unchanged(made.model.shape))
    with pytest.raises(GroundTruthError, match="no value of the original can be read"):
        locate_in_disguise(wrong, texts=32)
    with pytest.raises(GroundTruthError, match="no expression"):
        causal_model(wrong, Wanted(32))


def test_a_map_of_other_sizes_is_refused():
    made = disguise(compiled("aab"), [Split(2, 2)], seed=1)
    with pytest.raises(GroundTruthError, match="the map leads from"):
        of_disguise(original("parity"), made.model, made.carried)


def test_a_disguise_of_a_disguise_has_the_first_original(tmp_path):
    first = disguise(compiled("aab"), [Split(2, 2)], seed=1)
    first.save(tmp_path / "first")
    second = disguise(tmp_path / "first", [Rotate()], seed=2)
    second.save(tmp_path / "second")
    subject = of_checkpoint(read_checkpoint(tmp_path / "second"))
    assert carry_circuit(subject, pairs=32, seed=0).true
    before = of_disguise(original("aab"), first.model, first.carried)
    with pytest.raises(GroundTruthError, match="is a disguise itself"):
        of_disguise(before, second.model, second.carried)
    joined = of_disguise(original("aab"), second.model, first.carried.then(second.carried))
    assert all(v.tally.is_right for v in causal_model(joined, Wanted(32)).variables)


def test_an_edge_that_is_true_no_more_is_an_error():
    subject = disguised("aab")
    tensors = {name: tensor.copy() for name, tensor in subject.model.tensors.items()}
    places = subject.carried.head(0, 0)
    size = subject.model.shape.head_dim
    for place in places:  # the head is gone, and the map still says where it is
        rows = slice(place.number * size, (place.number + 1) * size)
        tensors["h.0.attn.c_proj.weight"][rows] = 0
    broken = replace(subject, model=replace(subject.model, tensors=tensors))
    with pytest.raises(GroundTruthError):
        carry_circuit(broken, pairs=48, seed=0)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_folder_says_the_same_as_the_disguise_in_memory(name, tmp_path):
    made = disguise(compiled(name), ALL, seed=1)
    made.save(tmp_path / name)
    subject = of_checkpoint(read_checkpoint(tmp_path / name))
    wanted = Wanted(examples=32)
    files = ("circuit.json", "pairs.csv", "interventions.json", "featurizers.safetensors")
    for each, known in (("one", subject), ("two", disguised(name))):
        write_ground_truth(known, tmp_path / each, what=["circuit", "causal"], wanted=wanted)
    for file in files:
        one, two = ((tmp_path / folder / file).read_bytes() for folder in ("one", "two"))
        assert one == two, file
    graphs = [json.loads((tmp_path / each / "circuit.json").read_text()) for each in ("one", "two")]
    one, two = ({n for n, e in graph["edges"].items() if e["in_graph"]} for graph in graphs)
    assert one == two
    cfg = graphs[0]["cfg"]
    assert (cfg["n_heads"], cfg["d_model"]) == (made.model.shape.n_head, made.model.shape.n_embd)


def test_a_disguise_whose_original_is_unknown_is_refused(tmp_path):
    disguise(compiled("aab"), [Rotate()], seed=1).save(tmp_path / "aab")
    data = json.loads((tmp_path / "aab" / "disguise.json").read_text())
    data["original"]["files"]["model.safetensors"] = "0" * 64
    (tmp_path / "aab" / "disguise.json").write_text(json.dumps(data))
    with pytest.raises(GroundTruthError, match="does not give the files of its original"):
        of_checkpoint(read_checkpoint(tmp_path / "aab"))


def test_noise_stays_within_what_is_read():
    subject = disguised("aab", (Noise(1.0),))
    found, left_out = locate_in_disguise(subject, texts=32)
    assert found
    assert not left_out
    assert all(v.tally.is_right for v in causal_model(subject, Wanted(32)).variables)
