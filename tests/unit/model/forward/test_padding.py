"""Padding behind a text changes nothing in it, with a causal mask and without."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from handcraft.architecture import BLOCK, GPT2
from handcraft.errors import ModelError
from handcraft.model import Shape, attend, valid_positions

# What is imported from handcraft.model is the class; the module of that name is wanted here.
model_module = importlib.import_module("handcraft.model.model")

SHAPE = Shape(n_vocab=4, n_positions=6, n_embd=8, n_head=2, n_inner=(5, 0, 3))
ARCHITECTURES = {
    "block": BLOCK,
    "block without mask": BLOCK.without_mask(),
    "gpt2": GPT2,
    "gpt2 without mask": GPT2.without_mask(),
}
LENGTHS = [6, 1, 4, 2, 5, 3, 1]
VALID = valid_positions(LENGTHS, 6)
IDS = np.random.default_rng(0).integers(0, 4, VALID.shape)


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES)
def model(request, random_model):
    return random_model(SHAPE, architecture=request.param, seed=3)


def test_tokens_are_valid_and_the_padding_behind_them_is_not():
    np.testing.assert_array_equal(valid_positions([3, 0, 1], 3), [[1, 1, 1], [0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("lengths", [[2, 5], [-1]])
def test_lengths_that_do_not_fit_are_refused_with_the_numbers(lengths):
    with pytest.raises(ModelError) as caught:
        valid_positions(lengths, 4)
    assert caught.value.what == f"texts of {lengths} tokens, padded to 4 positions"
    assert caught.value.fix


def test_every_text_has_the_logits_that_plain_loops_give_it_alone(model, naive):
    logits = model.forward(IDS, valid=VALID)
    for row, length in enumerate(LENGTHS):
        alone = naive(model, IDS[row, :length].tolist())
        np.testing.assert_allclose(logits[row, :length], alone, rtol=1e-8, atol=1e-9)


def test_which_id_stands_for_padding_does_not_matter(model):
    logits = model.forward(IDS, valid=VALID)
    for other in range(4):
        changed = model.forward(np.where(VALID, IDS, other), valid=VALID)
        np.testing.assert_allclose(changed[VALID], logits[VALID], rtol=1e-12, atol=1e-12)


def test_what_stands_at_padding_is_finite_even_in_a_text_of_no_tokens(model):
    valid = valid_positions([0, 3], 6)
    assert np.isfinite(model.forward(IDS[:2], valid=valid)).all()


def test_a_batch_without_padding_is_the_same_as_not_saying(model):
    whole = model.forward(IDS, valid=np.ones(IDS.shape, dtype=bool))
    np.testing.assert_allclose(whole, model.forward(IDS), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("numbers", [1, 100, 10_000])
def test_running_in_chunks_changes_nothing(model, monkeypatch, numbers):
    whole = model.forward(IDS, valid=VALID)
    monkeypatch.setattr(model_module, "CHUNK", numbers)
    np.testing.assert_allclose(model.forward(IDS, valid=VALID), whole, rtol=1e-12, atol=1e-12)


def test_only_without_a_mask_would_padding_be_seen_by_default(model):
    unsaid, said = model.forward(IDS)[VALID], model.forward(IDS, valid=VALID)[VALID]
    assert np.allclose(unsaid, said) == model.architecture.causal


def test_flags_may_be_lists(model):
    listed = model.forward(IDS.tolist(), valid=VALID.tolist())
    np.testing.assert_array_equal(listed, model.forward(IDS, valid=VALID))


@pytest.mark.parametrize(
    ("valid", "what"),
    [
        ([True, False], "valid of shape (2,) and type bool for tokens of shape (1, 2)"),
        ([[True], [True]], "valid of shape (2, 1) and type bool for tokens of shape (1, 2)"),
        ([[1, 0]], "valid of shape (1, 2) and type int64 for tokens of shape (1, 2)"),
        ([[False, True]], "text 0 has padding at position 0 and a token after it"),
    ],
)
def test_other_flags_are_refused(model, valid, what):
    with pytest.raises(ModelError) as caught:
        model.forward([[0, 1]], valid=valid)
    assert caught.value.what == what
    assert caught.value.fix


def test_a_gap_in_a_later_text_is_reported(model):
    valid = VALID.copy()
    valid[4, 2] = False
    with pytest.raises(ModelError, match="text 4 has padding at position 2 and a token after it"):
        model.forward(IDS, valid=valid)


def test_padding_and_a_cache_are_refused(random_model):
    model = random_model(SHAPE)
    cache = model.empty_cache(batch=len(IDS))
    with pytest.raises(ModelError) as caught:
        model.forward(IDS, cache, valid=VALID)
    assert (
        caught.value.what
        == "padding cannot be combined with a cache: later tokens would come after the padding"
    )
    assert cache.length == 0


@pytest.mark.parametrize("causal", [False, True])
def test_attention_gives_padding_exactly_nothing(causal):
    random = np.random.default_rng(1)
    q, k, v = random.normal(size=(3, 2, 4, 5, 3))  # [batch, head, position, head_dim]
    valid = valid_positions([5, 2], 5)
    _, pattern, out = attend(q, k, v, scale=0.5, causal=causal, valid=valid[:, None])
    assert (pattern[1, :, :, 2:] == 0).all()
    np.testing.assert_allclose(pattern.sum(axis=-1), 1)
    _, _, alone = attend(q[1, :, :2], k[1, :, :2], v[1, :, :2], scale=0.5, causal=causal)
    np.testing.assert_allclose(out[1, :, :2], alone)
