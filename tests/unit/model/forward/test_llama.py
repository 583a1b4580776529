"""A Llama runs as plain loops compute it: begin token, groups of heads, window, cache, padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handcraft.architecture import LLAMA
from handcraft.errors import ModelError
from handcraft.model import Model, Shape, as_reordered, as_rounded, continue_ids, valid_positions
from handcraft.model.forward.gpt2 import Gpt2Pass
from handcraft.model.layers.attention import ROWS

SHAPES = {
    "a head": Shape(n_vocab=3, n_positions=6, n_embd=4, n_head=1, n_inner=(5,)),
    "heads in pairs": Shape(n_vocab=4, n_positions=6, n_embd=8, n_head=4, n_inner=(6, 6), n_kv_head=2),
    "one key for all heads": Shape(4, 6, 8, 4, (7, 7, 7), n_kv_head=1),
    "wide heads": Shape(3, 6, 4, 2, (3, 5), n_kv_head=1, own_head_dim=10),
    "narrow heads": Shape(3, 6, 12, 3, (3,), own_head_dim=2),
    "no MLP": Shape(3, 6, 4, 2, (0, 0)),
}
ARCHITECTURES = {
    "tied": LLAMA,
    "untied": replace(LLAMA, tied=False, theta=50.0),
    "window": replace(LLAMA, window=3),
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def sizes(request):
    return request.param


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES)
def llama(request, sizes, random_model):
    return random_model(sizes, architecture=request.param, seed=5)


def texts(model, rows=4, seed=1):
    size = (rows, model.context)
    return np.random.default_rng(seed).integers(0, len(model.vocabulary), size)


def pieces(length):
    """Every way to cut `length` positions into pieces."""
    for cuts in range(1 << (length - 1)):
        ends = [i + 1 for i in range(length - 1) if cuts >> i & 1] + [length]
        yield list(zip([0, *ends[:-1]], ends, strict=True))


def test_logits_are_those_of_plain_loops(llama, naive):
    for text in texts(llama).tolist():
        np.testing.assert_allclose(llama.forward([text])[0], naive(llama, text), rtol=1e-9, atol=1e-9)


def test_the_begin_token_takes_one_position_and_the_last_id(llama):
    assert llama.context == llama.shape.n_positions - 1
    assert llama.begin_id == llama.shape.n_vocab - 1 == len(llama.vocabulary)
    logits = llama.forward(texts(llama))
    assert logits.shape == (4, llama.context, llama.shape.n_vocab)
    with pytest.raises(ModelError) as caught:
        llama.forward([[0] * (llama.context + 1)])
    assert (
        caught.value.what == f"{llama.context + 1} tokens, but the model has {llama.context} positions"
    )


def test_however_a_text_is_cut_the_cache_gives_the_logits_of_the_whole(llama):
    ids = texts(llama, rows=2)
    whole = llama.forward(ids)
    for cut in pieces(llama.context):
        cache = llama.empty_cache(batch=2)
        parts = [llama.forward(ids[:, start:stop], cache) for start, stop in cut]
        np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-10, atol=1e-12)
        assert cache.length == llama.context


def test_a_cache_forgets_tokens_but_never_the_begin_token(llama):
    first, other = texts(llama, rows=2)[:, None]
    cache = llama.empty_cache()
    llama.forward(first, cache)
    for kept in (2, 0):
        cache.truncate(kept)
        text = np.concatenate([first[:, :kept], other[:, kept:]], axis=1)
        found = llama.forward(text[:, kept:], cache.repeat(1, extra=llama.context - kept))
        np.testing.assert_allclose(found, llama.forward(text)[:, kept:], rtol=1e-10, atol=1e-12)


def test_padding_after_a_text_changes_nothing_in_it(llama):
    ids, lengths = texts(llama), [6, 1, 0, 4]
    valid = valid_positions(lengths, llama.context)
    logits = llama.forward(ids, valid=valid)
    assert np.isfinite(logits).all()
    for row, length in enumerate(lengths):
        if length:
            alone = llama.forward(ids[[row], :length])[0]
            np.testing.assert_allclose(logits[row, :length], alone, rtol=1e-10, atol=1e-12)


def test_a_trace_shows_the_begin_token_first_and_the_run_can_be_resumed(llama):
    ids = texts(llama, rows=1)
    trace = llama.trace(llama.vocabulary.text(ids[0]))
    assert trace.tokens == ("<s>", *llama.vocabulary.text(ids[0]))
    for name in trace:
        assert trace.show(name), "every axis has a name for each of its places"
    whole = llama.forward(ids)
    np.testing.assert_allclose(trace["logits"][1:], whole[0], rtol=1e-10, atol=1e-12)
    states = ["embedding"]
    for block in range(llama.shape.n_layer):
        states += [f"h.{block}.after_attention", f"h.{block}.output"]
    for done, name in enumerate(states):
        np.testing.assert_allclose(llama.resume(trace[name][None], done), whole, rtol=1e-9, atol=1e-10)


def test_watching_shows_what_a_trace_holds(llama):
    ids, seen = texts(llama, rows=1), {}
    logits = llama.watch(ids, lambda name, value: seen.setdefault(name, value[0].copy()))
    trace = llama.trace(llama.vocabulary.text(ids[0]))
    assert set(seen) == set(trace)
    for name, value in seen.items():
        np.testing.assert_allclose(value, trace[name], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(logits, llama.forward(ids), rtol=1e-10, atol=1e-12)


def thinned(model, share, seed):
    """The model with so many rows and columns of its matrices 0."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, tensor in model.tensors.items():
        if "_proj" in name:
            tensor = tensor * (random.random(tensor.shape[1]) > share)
            tensor = tensor * (random.random((len(tensor), 1)) > share)
        tensors[name] = tensor
    return replace(model, tensors=tensors)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*SHAPES.values()]),
    st.sampled_from([*ARCHITECTURES.values()]),
    st.sampled_from([0.1, 0.5, 0.8, 1.0]),
    st.integers(0, 99),
)
def test_runs_without_what_is_0_give_what_whole_runs_give(
    make_random, shape, architecture, share, seed
):
    model = thinned(make_random(shape, architecture=architecture), share, seed)
    ids = texts(model)
    np.testing.assert_allclose(model.answer(ids), model.forward(ids), rtol=1e-9, atol=1e-10)
    cache = model.empty_cache(len(ids))
    steps = [model.answer(ids[:, [place]], cache) for place in range(ids.shape[1])]
    np.testing.assert_allclose(np.hstack(steps), model.forward(ids), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("window", [None, 1, 5, ROWS + 1])
def test_long_texts_run_in_parts_and_give_what_they_give_whole(random_model, window):
    shape = Shape(4, 2 * ROWS + 3, 8, 4, (5, 0), n_kv_head=2)
    model = random_model(shape, architecture=replace(LLAMA, window=window), seed=3)
    ids = texts(model, rows=2)
    whole = model.watch(ids, lambda name, value: None)
    np.testing.assert_allclose(model.forward(ids), whole, rtol=1e-10, atol=1e-12)
    cache = model.empty_cache(len(ids))
    parts = [model.forward(part, cache) for part in np.split(ids, [3, ROWS + 2], axis=1)]
    np.testing.assert_allclose(np.hstack(parts), whole, rtol=1e-10, atol=1e-12)


def test_a_text_is_continued_by_the_highest_logits_past_the_context_too(llama):
    found = continue_ids(llama, [0, 1], 9)
    text = [0, 1]
    for token in found:
        assert token == llama.forward([text[-llama.context :]])[0, -1].argmax()
        text.append(token)


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_a_llama_in_another_order_is_the_same_function(random_model, sizes, architecture):
    model = random_model(sizes, architecture=architecture, dtype="float32")
    again = as_reordered(model)
    plain = Model(again.architecture, again.shape, again.vocabulary, again.tensors)
    changed = [n for n, t in plain.tensors.items() if not np.array_equal(t, model.tensors[n])]
    assert len(changed) == sum(tensor.size > 0 for tensor in model.tensors.values())
    ids = texts(model)
    np.testing.assert_allclose(plain.forward(ids), model.forward(ids), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rounded", [as_rounded, as_reordered])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_step_leaves_numbers_of_the_dtype(random_model, sizes, dtype, rounded):
    model = random_model(sizes, architecture=LLAMA, dtype=dtype)

    def see(name, value):
        assert np.array_equal(value, value.astype(model.dtype).astype(np.float32)), name

    rounded(model).watch(texts(model), see)


def test_a_model_that_embeds_positions_has_no_begin_token(random_model):
    model = random_model(SHAPES["a head"])
    assert (model.begin_id, model.context) == (None, model.shape.n_positions)
    assert isinstance(model._pass(1), Gpt2Pass)
