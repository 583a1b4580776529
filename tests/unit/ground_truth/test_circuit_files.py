"""circuit.json, edges.json, pairs.csv and examples.csv: the form that EAP-IG and MIB read."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction

import pytest
from gallery import compiled

from handcraft import Program, Prompts, compile_program, compile_sequences, predict
from handcraft.errors import GroundTruthError
from handcraft.ground_truth import Wanted, of_compiled
from handcraft.ground_truth.circuit.edge_graph import EdgeGraph
from handcraft.ground_truth.circuit.part import make_circuit


def made(subject, examples=48):
    """The files of a circuit, read again, and the summary."""
    found = make_circuit(subject, Wanted(examples))
    files = {name: data.decode() for name, data in found.files.items()}
    tables = {n: [*csv.DictReader(io.StringIO(t))] for n, t in files.items() if n.endswith(".csv")}
    data = {n: json.loads(t) for n, t in files.items() if n.endswith(".json")}
    return data | tables, found


@pytest.fixture(scope="module")
def add():
    """The adder: what is known of it, its files, and their summary."""
    subject = of_compiled(compiled("add"))
    return subject, *made(subject, examples=24)


def test_the_graph_has_every_node_and_every_edge_the_false_ones_too(add):
    subject, files, _ = add
    graph, circuit = EdgeGraph.of(subject.model.shape), files["circuit.json"]
    assert circuit["cfg"] == {
        "n_layers": 2, "n_heads": 5, "parallel_attn_mlp": False, "d_model": 40,
    }  # fmt: skip
    assert list(circuit["nodes"]) == [*(source.name for source in graph.sources), "logits"]
    assert list(circuit["edges"]) == [edge.name for edge in graph.edges]
    assert {type(edge["in_graph"]) for edge in circuit["edges"].values()} == {bool}
    for edge in circuit["edges"].values():
        assert edge["in_graph"] == (edge["score"] >= 1)
    used = {name.partition("->")[0] for name, edge in circuit["edges"].items() if edge["in_graph"]}
    assert {n for n, node in circuit["nodes"].items() if node["in_graph"]} == used | {"logits"}


def test_every_true_edge_has_one_pair_of_one_length(add):
    subject, files, found = add
    true = [name for name, edge in files["circuit.json"]["edges"].items() if edge["in_graph"]]
    assert [row["edge"] for row in files["pairs.csv"]] == true
    assert found.summary["true"] == len(true)
    program, vocabulary = subject.source, subject.model.vocabulary
    for row in files["pairs.csv"]:
        assert list(row)[:4] == ["clean", "corrupted", "correct_idx", "incorrect_idx"]
        assert len(row["clean"]) == len(row["corrupted"])
        changed = sum(a != b for a, b in zip(row["clean"], row["corrupted"], strict=True))
        assert changed == int(row["changed_tokens"]) > 0
        assert vocabulary.id(program.meaning(row["clean"])) == int(row["correct_idx"])
        assert row["correct_idx"] != row["incorrect_idx"]
        assert row["rule"].endswith(")"), "the rule that decides, and its line"
    for row in files["examples.csv"]:
        assert vocabulary.id(program.meaning(row["clean"])) == int(row["correct_idx"])
        assert vocabulary.id(program.meaning(row["corrupted"])) == int(row["incorrect_idx"])


def test_edges_say_which_values_they_carry(add):
    _, files, _ = add
    edges = files["edges.json"]["edges"]
    assert edges["m0->m1"]["carries"] == ["carry"]
    assert edges["a0.h0->m1"]["carries"] == ["a"]
    assert edges["input->m1"]["weights"] == "scale"
    assert edges["input->m1"]["carries"] == []


def test_the_summary_lists_what_no_pair_shows():
    _, found = made(of_compiled(compiled("aab")))
    (left,) = found.summary["no_pair_found"]
    assert left["edge"] == "input->logits"
    assert 0 < left["effect"] < 1
    assert found.summary["answers_kept_by_circuit"][0] == found.summary["answers_kept_by_circuit"][1]
    assert "for input->logits" in found.lines[1]


def test_edges_that_are_needed_only_together_say_so():
    """What two heads say of one window: without one the answer stays, without both it changes."""
    usual = {"a": Fraction(1, 2), "b": Fraction(1, 6), "c": Fraction(1, 3)}
    other = {"a": Fraction(1, 3), "b": Fraction(1, 6), "c": Fraction(1, 2)}
    rules = [predict(other).after("aaa"), predict(usual).otherwise()]
    program = Program(prompts=Prompts("abc", 3), rules=rules)
    files, found = made(of_compiled(compile_program(program)))
    patched = {row["edge"]: row["patched"] for row in files["pairs.csv"]}
    assert set(patched.values()) == {"alone", "with all edges outside the circuit"}
    assert found.summary["true_alone"] == [*patched.values()].count("alone")


def test_tokens_that_need_quotes_are_read_back():
    prompts = Prompts(['"', ",", "x"], 3)
    rules = [predict(",").when(prompts.token == '"'), predict('"').otherwise()]
    files, _ = made(of_compiled(compile_program(Program(prompts=prompts, rules=rules))))
    assert files["pairs.csv"]
    for row in files["pairs.csv"]:
        assert {row["clean"], row["corrupted"]} <= {'"', ",", "x"}


def test_a_model_of_values_has_no_circuit_but_other_parts(tmp_path):
    prompts = Prompts("ab", 4)
    model = compile_sequences({"is a": prompts.token == "a"})
    written = model.ground_truth(tmp_path / "out")
    assert "values.json" in written.files
    left_out = dict(written.left_out)
    assert left_out["circuit"] == "a circuit is about answers, and this model computes values"
    assert left_out.keys() == {"circuit", "causal"}
    with pytest.raises(GroundTruthError, match="computes values"):
        model.ground_truth(tmp_path / "other", what=["circuit"])
