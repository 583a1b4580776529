"""The forward pass against one written again in loops, and what must not change its answers."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from handcraft.architecture import Architecture
from handcraft.errors import ModelError
from handcraft.model import Model, Shape, attend, causal_mask, merge_heads, softmax, split_heads
from handcraft.model.layers.attention import ROWS
from handcraft.vocabulary import Vocabulary

# What is imported from handcraft.model is the class; the module of that name is wanted here.
model_module = importlib.import_module("handcraft.model.model")
attention_module = importlib.import_module("handcraft.model.layers.attention")


def texts(shape, rows=5, seed=1):
    return np.random.default_rng(seed).integers(0, shape.n_vocab, (rows, shape.n_positions))


def test_float64_logits_equal_those_of_plain_loops(random_model, naive, shape):
    model = random_model(shape)
    for text in texts(shape).tolist():
        np.testing.assert_allclose(model.forward([text])[0], naive(model, text), rtol=1e-9, atol=1e-9)


def test_float32_logits_are_those_of_plain_loops_up_to_rounding(random_model, naive, shape):
    model = random_model(shape, dtype="float32")
    for text in texts(shape).tolist():
        np.testing.assert_allclose(model.forward([text])[0], naive(model, text), rtol=1e-3, atol=1e-2)


def test_a_bidirectional_architecture_sees_later_tokens_too(random_model, naive):
    shape = Shape(n_vocab=3, n_positions=5, n_embd=6, n_head=2, n_inner=(4, 0))
    model = random_model(shape, architecture=Architecture("both ways", causal=False))
    for text in texts(shape).tolist():
        np.testing.assert_allclose(model.forward([text])[0], naive(model, text), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_come_in_the_dtype_of_the_tensors(random_model, shape, dtype):
    model = random_model(shape, dtype=dtype)
    assert model.dtype == dtype
    assert model.forward(texts(shape)).dtype == dtype


def test_logits_have_a_row_for_every_text_position_and_token(random_model, shape):
    ids = texts(shape, rows=3)
    assert random_model(shape).forward(ids).shape == (3, shape.n_positions, shape.n_vocab)


def test_a_batch_gives_what_its_rows_give_alone(random_model, shape):
    model = random_model(shape)
    ids = texts(shape, rows=6)
    alone = np.concatenate([model.forward(ids[i : i + 1]) for i in range(6)])
    np.testing.assert_allclose(model.forward(ids), alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("numbers", [1, 100, 1000, 10_000])
def test_running_in_chunks_changes_nothing(random_model, shape, monkeypatch, numbers):
    model = random_model(shape)
    ids = texts(shape, rows=11)
    whole = model.forward(ids)
    monkeypatch.setattr(model_module, "CHUNK", numbers)
    np.testing.assert_allclose(model.forward(ids), whole, rtol=1e-12, atol=1e-12)
    cache = model.empty_cache(len(ids))
    for place in range(ids.shape[1]):
        answers = model.forward(ids[:, place : place + 1], cache)
        np.testing.assert_allclose(answers[:, 0], whole[:, place], rtol=1e-12, atol=1e-12)


def test_a_small_chunk_really_runs_few_rows_at_once(small, monkeypatch):
    rows = []
    run = Model._run

    def watched(self, ids, *rest, **more):
        rows.append(len(ids))
        return run(self, ids, *rest, **more)

    monkeypatch.setattr(Model, "_run", watched)
    monkeypatch.setattr(model_module, "CHUNK", 3 * 5 * 8)  # three rows of five positions
    small.forward(texts(small.shape, rows=8))
    assert rows == [3, 3, 2]


def test_a_later_token_changes_no_earlier_logit(small):
    one = small.forward([[0, 1, 2, 0, 1]])[0]
    other = small.forward([[0, 1, 2, 1, 2]])[0]
    np.testing.assert_array_equal(one[:3], other[:3])
    assert not np.allclose(one[3:], other[3:])


def test_a_prefix_alone_gives_the_logits_it_has_in_a_longer_text(small):
    whole = small.forward([[0, 1, 2, 0, 1]])[0]
    for length in range(1, 6):
        np.testing.assert_allclose(small.forward([[0, 1, 2, 0, 1][:length]])[0], whole[:length])


def test_forward_changes_no_tensor_and_no_input(small):
    before = {name: tensor.copy() for name, tensor in small.tensors.items()}
    ids = texts(small.shape)
    asked = ids.copy()
    small.forward(ids)
    np.testing.assert_array_equal(ids, asked)
    for name, tensor in small.tensors.items():
        np.testing.assert_array_equal(tensor, before[name])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_any_integer_type_is_an_id(small, dtype):
    ids = texts(small.shape)
    np.testing.assert_array_equal(small.forward(ids.astype(dtype)), small.forward(ids))


@pytest.mark.parametrize(
    ("tokens", "what"),
    [
        ([0, 1], "tokens of shape (2,) and type int64"),
        ([[[0]]], "tokens of shape (1, 1, 1) and type int64"),
        (np.zeros((0, 3), dtype=int), "tokens of shape (0, 3) and type int64"),
        (np.zeros((2, 0), dtype=int), "tokens of shape (2, 0) and type int64"),
        ([[0.0, 1.0]], "tokens of shape (1, 2) and type float64"),
        ([[True, False]], "tokens of shape (1, 2) and type bool"),
        ([["a", "b"]], "tokens of shape (1, 2) and type <U1"),
        ([[0, 1, 2, 0, 1, 2]], "6 tokens, but the model has 5 positions"),
        ([[0, 3]], "the token id 3 is not in a vocabulary of 3"),
        ([[0, 1], [2, -1]], "the token id -1 is not in a vocabulary of 3"),
    ],
)
def test_wrong_tokens_are_refused_with_the_numbers(small, tokens, what):
    with pytest.raises(ModelError) as caught:
        small.forward(tokens)
    assert caught.value.what == what
    assert caught.value.fix


def test_texts_of_different_lengths_are_refused(small):
    with pytest.raises(ModelError):
        small.forward([[0, 1], [2]])


def test_models_are_equal_when_every_bit_is(random_model, shape):
    assert random_model(shape) == random_model(shape)


def test_models_differ_when_one_bit_does(random_model, shape):
    for name in shape.tensors():
        other = random_model(shape)
        flat = other.tensors[name].reshape(-1)
        flat[-1] = np.nextafter(flat[-1], np.inf)
        assert other != random_model(shape)


def test_models_differ_when_a_zero_has_another_sign(random_model, shape):
    one, other = random_model(shape), random_model(shape)
    one.tensors["wpe.weight"][0, 0], other.tensors["wpe.weight"][0, 0] = 0.0, -0.0
    assert one != other


def test_models_differ_in_dtype_and_vocabulary(random_model, shape):
    model = random_model(shape)
    narrow = {name: tensor.astype("float32") for name, tensor in model.tensors.items()}
    assert model != Model(model.architecture, shape, model.vocabulary, narrow)
    renamed = Vocabulary("stuvwxyz"[: shape.n_vocab])
    assert model != Model(model.architecture, shape, renamed, model.tensors)
    assert model != "a model"


def test_parameters_are_counted(random_model):
    shape = Shape(n_vocab=2, n_positions=3, n_embd=4, n_head=2, n_inner=(5, 0))
    model = random_model(shape)
    attention = 4 * 12 + 12 + 4 * 4 + 4
    assert model.parameters == 2 * 4 + 3 * 4 + 2 * attention + (4 * 5 + 5 + 5 * 4 + 4)
    assert model.nonzero_parameters == model.parameters
    model.tensors["wte.weight"][:] = 0
    assert model.nonzero_parameters == model.parameters - 8


def test_a_notebook_shows_the_sizes(small):
    shown = small._repr_html_()
    for fact in ("block", "5", "8", f"{small.parameters:,}", "float64"):
        assert f"<td>{fact}" in shown


def test_softmax_rows_sum_to_1_and_survive_large_scores():
    pattern = softmax(np.array([[1000.0, 1000.0, -np.inf], [-1e300, 0.0, -1e308]]))
    np.testing.assert_array_equal(pattern, [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])


def test_softmax_leaves_its_argument_alone():
    scores = np.array([[1.0, 2.0]])
    softmax(scores)
    np.testing.assert_array_equal(scores, [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("destinations", "sources"), [(n, m) for m in range(1, 6) for n in range(1, m + 1)]
)
def test_the_mask_hides_exactly_the_later_sources(destinations, sources):
    mask = causal_mask(destinations, sources)
    assert mask.shape == (destinations, sources)
    for row in range(destinations):
        here = sources - destinations + row
        assert mask[row].tolist() == [there > here for there in range(sources)]


def test_merging_undoes_splitting():
    x = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    assert split_heads(x, 4).shape == (2, 4, 3, 2)
    np.testing.assert_array_equal(split_heads(x, 4)[1, 2, 0], x[1, 0, 4:6])
    np.testing.assert_array_equal(merge_heads(split_heads(x, 4)), x)


def test_attend_gives_scores_before_the_mask_and_a_causal_pattern():
    random = np.random.default_rng(0)
    q, k, v = random.normal(size=(3, 2, 4, 5))
    scores, pattern, out = attend(q, k, v, scale=0.5, causal=True)
    np.testing.assert_allclose(scores, 0.5 * np.einsum("hid,hjd->hij", q, k))
    np.testing.assert_allclose(pattern.sum(axis=-1), 1)
    assert (np.triu(pattern, 1) == 0).all()
    np.testing.assert_allclose(out, np.einsum("hij,hjd->hid", pattern, v))


@pytest.mark.parametrize("positions", [ROWS + 1, 2 * ROWS, 2 * ROWS + 3])
def test_long_texts_run_in_parts_and_give_what_they_give_whole(random_model, positions, monkeypatch):
    shape = Shape(n_vocab=4, n_positions=positions, n_embd=6, n_head=2, n_inner=(5, 0))
    model = random_model(shape, seed=3)
    ids = np.random.default_rng(1).integers(0, 4, size=(2, positions))
    whole = model.watch(ids, lambda name, value: None)
    assert np.allclose(model.forward(ids), whole, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(attention_module, "SCORES", 1)  # one text at a time
    assert np.allclose(model.forward(ids), whole, rtol=1e-12, atol=1e-12)
    cache = model.empty_cache(len(ids))  # the second part sees sources before its own
    parts = [model.forward(ids[:, part], cache) for part in (slice(0, 1), slice(1, None))]
    assert np.allclose(np.hstack(parts), whole, rtol=1e-12, atol=1e-12)
