"""EAP-IG reads the circuit back, and finds with its own patching what circuit.json says."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from attribution import truths
from eap.graph import Graph
from eap_ig import answers, area_under_roc, attribute, evaluate, last_logits, read

from handcraft import read_checkpoint
from handcraft.cli.input.sources import compile_found, find
from handcraft.ground_truth import Wanted, of_compiled, write_ground_truth
from handcraft.ground_truth.circuit.edge_graph import EdgeGraph
from handcraft.ground_truth.circuit.patched import PatchedModel

NAMES = [
    "aab", "add", "by_hand", "caesar", "dyck1", "flipflop", "grammar", "histogram", "induction", "ioi",
    "median", "most_frequent", "ngram", "palindrome", "parity", "rule110", "sort",
]  # fmt: skip


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """A function from the name of a program to its ground truth, as EAP-IG reads it."""

    @cache
    def made(name):
        folder = tmp_path_factory.mktemp(name)
        subject = of_compiled(compile_found(find(name).source), name)
        written = write_ground_truth(subject, folder, what=["circuit"], wanted=Wanted(64))
        return read(written.folder)

    return made


def edges_of(graph):
    return {name for name, edge in graph.edges.items() if edge.in_graph}


def without(truth, edges):
    """All edges but some, in the graph of a model."""
    graph = Graph.from_model(truth.model)
    graph.reset(empty=False)
    for name in edges:
        graph.edges[name].in_graph = False
    return graph


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_has_the_nodes_and_edges_of_the_model(truth, name):
    read_back, own = truth(name).graph(), Graph.from_model(truth(name).model)
    shape = read_checkpoint(truth(name).folder / "model").model.shape
    assert list(read_back.edges) == list(own.edges)
    assert {edge.name for edge in EdgeGraph.of(shape).edges} == own.edges.keys()
    with Path(truth(name).folder / "pairs.csv").open(newline="") as file:
        assert edges_of(read_back) == {row["edge"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", NAMES)
def test_pruning_and_the_threshold_of_1_give_the_circuit(truth, name):
    graph = truth(name).graph()
    true = edges_of(graph)
    graph.prune()
    assert edges_of(graph) == true
    graph.apply_threshold(1.0)
    assert edges_of(graph) == true
    graph.apply_topn(len(true))
    assert edges_of(graph) == true


@pytest.mark.parametrize("table", ["pairs.csv", "examples.csv"])
@pytest.mark.parametrize("name", NAMES)
def test_with_all_false_edges_corrupted_every_answer_stays(truth, name, table):
    pairs = truth(name).pairs(table)
    assert evaluate(truth(name), truth(name).graph(), pairs, answers).tolist() == [1.0] * len(pairs)


@pytest.mark.parametrize("name", NAMES)
def test_without_one_true_edge_its_pair_gets_the_other_answer(truth, name):
    pairs = truth(name).pairs()
    for row in range(len(pairs)):
        pair = pairs.iloc[[row]]
        (edge,), (wrong,), (right,) = pair["edge"], pair["incorrect_idx"], pair["correct_idx"]
        graph = without(truth(name), [edge])
        if pair["patched"].tolist() != ["alone"]:
            graph = truth(name).graph()
            graph.edges[edge].in_graph = False
        (logits,) = evaluate(truth(name), graph, pair, last_logits)
        assert int(logits.argmax()) == wrong != right, pair


@pytest.mark.parametrize("name", ["add", "induction", "ioi", "palindrome", "sort"])
def test_patching_in_numpy_gives_the_logits_of_eap_ig(truth, name):
    folder = truth(name).folder / "model"
    checkpoint = read_checkpoint(folder)
    patched = PatchedModel(checkpoint.model)
    vocabulary = checkpoint.model.vocabulary
    pairs = truth(name).pairs("examples.csv").head(3)
    random = np.random.default_rng(0)
    edges = patched.graph.edges
    chosen = [[edge] for edge in edges[:: max(1, len(edges) // 40)]]
    chosen += [[edges[i] for i in random.choice(len(edges), len(edges) // 3)] for _ in range(6)]
    for some in [[], [*edges], *chosen]:
        graph = without(truth(name), [edge.name for edge in some])
        if some == [*edges]:
            graph = Graph.from_model(truth(name).model)  # nothing left
        for row in range(len(pairs)):
            pair = pairs.iloc[[row]]
            texts = [vocabulary.ids(text) for (text,) in (pair["clean"], pair["corrupted"])]
            ours = patched.patched(*(patched.run(np.array([ids])) for ids in texts), some)[0, -1]
            (theirs,) = evaluate(truth(name), graph, pair, last_logits)
            size = max(1.0, float(np.abs(ours).max()))
            np.testing.assert_allclose(theirs.numpy(), ours, rtol=0, atol=2e-5 * size + 2e-3)


def test_a_circuit_that_lacks_a_true_edge_is_found_out(truth):
    graph = truth("induction").graph()
    graph.edges["m1->logits"].in_graph = False
    pairs = truth("induction").pairs()
    assert 0.0 in evaluate(truth("induction"), graph, pairs, answers).tolist()


@pytest.mark.parametrize("method", ["EAP", "EAP-IG-inputs"])
def test_attribution_runs_on_the_pairs(truth, method):
    graph = attribute(truth("flipflop"), truth("flipflop").pairs("examples.csv"), method)
    assert torch.isfinite(graph.scores).all()
    assert 0 <= area_under_roc(truth("flipflop").graph(), graph) <= 1


def test_exact_attribution_finds_the_edges_that_the_pairs_show(truth):
    """Patching one edge at a time is what the circuit was found by; more pairs show more edges."""
    graph = attribute(truth("flipflop"), truth("flipflop").pairs(), "exact")
    assert area_under_roc(truth("flipflop").graph(), graph) > 0.95


@pytest.fixture(scope="module")
def hidden(tmp_path_factory):
    """A disguise of a program, as EAP-IG reads it."""
    folder = tmp_path_factory.mktemp("hidden")
    return truths("induction", folder, hides=True)


@pytest.mark.parametrize("table", ["pairs.csv", "examples.csv"])
def test_in_a_disguise_too_every_answer_stays_with_all_false_edges_corrupted(hidden, table):
    pairs = hidden.pairs(table)
    assert evaluate(hidden, hidden.graph(), pairs, answers).tolist() == [1.0] * len(pairs)


def test_without_all_edges_that_were_made_of_a_true_one_its_pair_gets_the_other_answer(hidden):
    pairs = hidden.pairs()
    for row in range(len(pairs)):
        pair = pairs.iloc[[row]]
        (edge,), (patched,), (wrong,) = pair["edge"], pair["patched"], pair["incorrect_idx"]
        copies = [] if patched == "alone" else patched.removeprefix("with ").split(" and ")
        (logits,) = evaluate(hidden, without(hidden, [edge, *copies]), pair, last_logits)
        assert int(logits.argmax()) == wrong, pair
