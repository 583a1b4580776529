"""The patched forward pass: all edges give the corrupted run, none the clean one, and any set what a
slow implementation gives."""

from __future__ import annotations

import numpy as np
import pytest
from gallery import compiled
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_patching import slow_logits
from sweeps import sweep

from handcraft import BLOCK, Model, Vocabulary, compile_program
from handcraft.architecture import llama
from handcraft.ground_truth.circuit.edge_graph import EdgeGraph
from handcraft.ground_truth.circuit.patched import PatchedModel
from handcraft.model import Shape
from handcraft.testing import rule_programs, sequence_programs
from handcraft.weights import Sizes


def two_texts(model, data):
    """Two texts of one length."""
    length = data.draw(st.integers(1, min(6, model.context)))
    ids = st.lists(st.sampled_from(model.vocabulary.numbers), min_size=length, max_size=length)
    return np.array([data.draw(ids)]), np.array([data.draw(ids)])


def close(one, other):
    """Whether logits are equal to within the rounding of float32."""
    size = max(1.0, float(np.abs(other).max()))
    return float(np.abs(one - other).max()) <= 2e-5 * size + 2e-3


def assert_patches(model, data):
    patched = PatchedModel(model)
    clean, corrupted = two_texts(model, data)
    one, other = patched.run(clean), patched.run(corrupted)
    assert close(one.logits, model.forward(clean))
    np.testing.assert_array_equal(patched.patched(one, other, []), one.logits)
    assert close(patched.patched(one, other, patched.graph.edges), other.logits)
    edges = data.draw(st.sets(st.sampled_from(patched.graph.edges)))
    found = patched.patched(one, other, edges)[0]
    wanted = slow_logits(model, clean[0].tolist(), corrupted[0].tolist(), {e.name for e in edges})
    assert close(found, wanted), edges


@settings(max_examples=sweep(150))
@given(program=rule_programs(), data=st.data())
def test_rules_are_patched_as_slowly_written_out(program, data):
    architecture = data.draw(st.sampled_from(["gpt2", "block"]))
    assert_patches(compile_program(program, architecture=architecture).model, data)


@settings(max_examples=sweep(30))
@given(program=rule_programs(), data=st.data())
def test_rules_of_a_llama_are_patched_as_slowly_written_out(program, data):
    assert_patches(compile_program(program, architecture="llama").model, data)


LLAMAS = {
    "shared": (llama(tied=False), Sizes(n_head=4, n_kv_head=2)),
    "windowed": (llama(theta=500.0, window=3), Sizes(n_head=2, n_kv_head=1)),
}


@pytest.mark.parametrize("name", LLAMAS)
@settings(max_examples=sweep(20))
@given(data=st.data())
def test_any_llama_is_patched_as_slowly_written_out(name, data):
    """Of random weights, whose attention is soft: every head and every frequency counts."""
    architecture, sizes = LLAMAS[name]
    shape = Shape(5, 9, 12, sizes.n_head, (8, 6), sizes.n_kv_head, 4)
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    tensors = {
        each: rng.normal(0, 0.5, size).astype(np.float32)
        for each, size in shape.tensors(architecture).items()
    }
    assert_patches(Model(architecture, shape, Vocabulary("abcd"), tensors), data)


@settings(max_examples=sweep(150))
@given(program=sequence_programs(depth=2), data=st.data())
def test_expressions_are_patched_as_slowly_written_out(program, data):
    assert_patches(compile_program(program, architecture="block").model, data)


@settings(max_examples=sweep(60))
@given(program=sequence_programs(depth=2, causal=False), data=st.data())
def test_models_without_a_mask_are_patched_too(program, data):
    assert_patches(compile_program(program, architecture=BLOCK.without_mask()).model, data)


@pytest.mark.parametrize("name", ["add", "ioi", "tictactoe"])
def test_programs_with_many_heads_are_patched_as_slowly_written_out(name):
    model = compiled(name).model
    patched = PatchedModel(model)
    random = np.random.default_rng(0)
    length = min(5, model.shape.n_positions)
    clean, corrupted = random.integers(0, len(model.vocabulary), size=(2, 1, length))
    runs = patched.run(clean), patched.run(corrupted)
    edges = patched.graph.edges
    for count in (1, len(edges) // 2):
        some = [edges[i] for i in random.choice(len(edges), count, replace=False)]
        wanted = slow_logits(model, clean[0].tolist(), corrupted[0].tolist(), {e.name for e in some})
        found = patched.patched(*runs, some)[0]
        assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max() + 2e-3


def test_edges_are_counted_and_named_as_eap_ig_does():
    graph = EdgeGraph(2, 2, 16)
    names = [edge.name for edge in graph.edges]
    assert len(names) == len(set(names)) == 2 * 3 * 1 + 3 + 2 * 3 * 4 + 6 + 7
    assert names[:4] == ["input->a0.h0<q>", "input->a0.h0<k>", "input->a0.h0<v>", "input->a0.h1<q>"]
    assert "a0.h1->m0" in names
    assert "m0->a1.h1<v>" in names
    assert "a1.h0->a1.h1<q>" not in names  # heads of one block do not see one another
    assert names[-1] == "m1->logits"
