"""Runs without what is 0 give what whole runs give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handcraft import Program, compile_program, predict
from handcraft.architecture import BLOCK, GPT2
from handcraft.model import Shape
from handcraft.model.forward.pruned import pruned_blocks
from handcraft.model.layers.activation import _gelu_tanh, gelu_tanh

SHAPE = Shape(n_vocab=3, n_positions=6, n_embd=8, n_head=2, n_inner=(9, 0, 5))

TEXTS = np.random.default_rng(0).integers(0, 3, size=(5, 6))


def thinned(model, share, seed=0):
    """The model with so many of its weights 0: whole rows, whole columns, and single ones."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, tensor in model.tensors.items():
        if "attn" in name or "mlp" in name:
            tensor = tensor * (random.random(tensor.shape) > share / 2)
            tensor = tensor * (random.random(tensor.shape[-1]) > share)
            if tensor.ndim == 2:
                tensor = tensor * (random.random((len(tensor), 1)) > share)
        tensors[name] = tensor.astype(model.dtype)
    return replace(model, tensors=tensors)


@pytest.mark.parametrize("share", [0, 0.3, 0.8, 1])
@pytest.mark.parametrize("architecture", [BLOCK, GPT2], ids=lambda each: each.name)
def test_answers_are_those_of_the_forward_pass(random_model, architecture, share):
    model = thinned(random_model(SHAPE, architecture=architecture), share)
    np.testing.assert_allclose(model.answer(TEXTS), model.forward(TEXTS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0, 0.8, 1])
def test_answers_with_a_cache_are_those_without(random_model, share):
    model = thinned(random_model(SHAPE, architecture=GPT2), share)
    cache = model.empty_cache(len(TEXTS))
    steps = [model.answer(TEXTS[:, [place]], cache) for place in range(TEXTS.shape[1])]
    np.testing.assert_allclose(np.hstack(steps), model.forward(TEXTS), rtol=1e-4, atol=1e-5)


def test_most_of_a_compiled_model_is_left_out():
    program = Program("abc", 6, [predict("b").after("aa"), predict("a").otherwise()])
    model = compile_program(program, n_positions=6, positions="one-hot").model
    whole, pruned = model._blocks[0], model._pruned_blocks[0]
    assert pruned.attention.weight.size < whole.attention.weight.size / 10
    (units,) = model.shape.n_inner
    assert pruned.c_fc.weight.shape[1] < units / 4
    np.testing.assert_array_equal(model.answer(TEXTS), model.forward(TEXTS))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_heads_without_the_numbers_that_nothing_reads_answer_the_same(random_model, data):
    """Queries, keys, values and what is read of them may end at any place of a head."""
    model = random_model(SHAPE, seed=data.draw(st.integers(0, 99)))
    tensors, heads, width = dict(model.tensors), SHAPE.n_head, SHAPE.head_dim
    ends = [data.draw(st.integers(0, width)) for _ in range(4)]
    for layer in range(SHAPE.n_layer):
        name = f"h.{layer}.attn"
        kept = [np.tile(np.arange(width) < end, heads) for end in ends]
        tensors[f"{name}.c_attn.weight"] = model.tensors[f"{name}.c_attn.weight"] * np.hstack(kept[:3])
        tensors[f"{name}.c_attn.bias"] = model.tensors[f"{name}.c_attn.bias"] * np.hstack(kept[:3])
        tensors[f"{name}.c_proj.weight"] = model.tensors[f"{name}.c_proj.weight"] * kept[3][:, None]
    narrow = replace(model, tensors=tensors)
    block = narrow._pruned_blocks[0]
    assert (block.score_dims, block.value_dims) == (min(ends[:2]), min(ends[2:]))
    whole = narrow.forward(TEXTS)
    np.testing.assert_allclose(narrow.answer(TEXTS), whole, rtol=1e-12, atol=1e-12)
    cache = narrow.empty_cache(len(TEXTS))
    steps = [narrow.answer(TEXTS[:, part], cache) for part in (slice(0, 2), slice(2, 3), slice(3, 6))]
    np.testing.assert_allclose(np.hstack(steps), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1e20, np.inf, np.nan])
def test_infinity_times_0_is_not_left_out(random_model, size):
    model = thinned(random_model(SHAPE, architecture=GPT2), 0.5)
    name = "h.0.mlp.c_fc.bias"
    tensors = {**model.tensors, name: np.full_like(model.tensors[name], size)}
    broken = replace(model, tensors=tensors)
    assert pruned_blocks(broken, broken._blocks) is broken._blocks


@pytest.mark.parametrize("size", [1e154, 1e308])
def test_bounds_that_no_float_holds_leave_the_blocks_whole(random_model, size):
    model = thinned(random_model(SHAPE, architecture=BLOCK, dtype="float64"), 0.5)
    tensors = {name: np.sign(tensor) * size for name, tensor in model.tensors.items()}
    broken = replace(model, tensors=tensors)
    assert pruned_blocks(broken, broken._blocks) is broken._blocks


def test_watching_shows_what_the_forward_pass_computes(random_model):
    model = thinned(random_model(SHAPE, architecture=GPT2), 0.3)
    seen: dict[str, np.ndarray] = {}
    logits = model.watch(TEXTS, lambda name, value: seen.update({name: value.copy()}))
    np.testing.assert_allclose(logits, model.forward(TEXTS), rtol=1e-4, atol=1e-5)
    trace = model.trace([model.vocabulary.tokens[token] for token in TEXTS[1]])
    assert set(seen) == set(trace)
    for name, value in seen.items():
        np.testing.assert_allclose(value[1], trace[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gelu_is_that_of_its_formula_to_the_last_bit(dtype):
    near = np.linspace(-9, 9, 2001).astype(dtype)
    far = np.concatenate([near * 10**6, near[::50], [0, -0.0]]).astype(dtype)
    with np.errstate(over="ignore"):
        for x in (near, far):
            assert gelu_tanh(x).tobytes() == _gelu_tanh(x).tobytes()
