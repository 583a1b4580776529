"""Without a causal mask a model sees later tokens, and what rests on the mask is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handcraft import complete
from handcraft.architecture import ARCHITECTURES, BLOCK, GPT2, architecture_named
from handcraft.errors import ModelError
from handcraft.model import Shape

SHAPE = Shape(n_vocab=3, n_positions=5, n_embd=8, n_head=2, n_inner=(6, 0))


@pytest.fixture(params=[BLOCK, GPT2], ids=lambda architecture: architecture.name)
def model(request, random_model):
    return random_model(SHAPE, architecture=request.param.without_mask(), seed=7)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)
def test_only_the_mask_goes_and_the_name_still_finds_the_architecture(architecture):
    twin = architecture.without_mask()
    assert not twin.causal
    assert replace(twin, causal=True) == architecture_named(twin.name) == architecture
    assert twin.without_mask() == twin


def test_a_text_is_computed_as_plain_loops_compute_it(model, naive):
    for text in ([0], [2, 1], [0, 2, 1, 1, 0]):
        np.testing.assert_allclose(model.forward([text])[0], naive(model, text), rtol=1e-8, atol=1e-9)


def test_a_later_token_changes_every_earlier_logit(model):
    one, other = model.forward([[0, 1, 2, 0, 1], [0, 1, 2, 0, 2]])
    assert np.abs(one - other).max(axis=-1).min() > 1e-6


def test_a_trace_shows_a_pattern_over_all_positions(model):
    trace = model.trace("abcab")
    for block in range(2):
        pattern = trace[f"h.{block}.attn.pattern"]
        assert (pattern > 0).all()
        np.testing.assert_allclose(pattern.sum(axis=-1), 1)
    np.testing.assert_allclose(trace["logits"], model.forward([[0, 1, 2, 0, 1]])[0])


def test_watching_shows_what_the_trace_holds(model):
    seen = {}
    model.watch([[0, 1, 2]], lambda name, value: seen.setdefault(name, value[0].copy()))
    trace = model.trace("abc")
    assert list(seen) == list(trace)
    for name, value in trace.items():
        np.testing.assert_array_equal(seen[name], value)


def test_a_cache_is_refused_and_left_as_it_was(model):
    cache = model.empty_cache()
    with pytest.raises(ModelError) as caught:
        model.forward([[0, 1]], cache)
    assert str(caught.value) == (
        "ModelError: a cache of earlier positions needs the causal mask, but this model attends to "
        "later positions\n"
        f"  where: the architecture {model.architecture.name} without mask\n"
        "  fix:   run whole texts, without a cache: forward(tokens)"
    )
    assert cache.length == 0
    assert not cache.keys.any()


@pytest.mark.parametrize("prompt", ["a", "abcab", "abcabcabc"])
def test_no_text_is_continued(model, prompt):
    with pytest.raises(ModelError) as caught:
        complete(model, prompt, 2)
    assert str(caught.value) == (
        "ModelError: to continue a text needs the causal mask, but this model attends to later "
        "positions\n"
        f"  where: the architecture {model.architecture.name} without mask\n"
        "  fix:   read the answer at every position: model.forward(tokens)"
    )


def test_a_text_that_is_too_long_is_not_sent_to_complete(model):
    with pytest.raises(ModelError) as caught:
        model.forward([[0] * 6])
    assert caught.value.what == "6 tokens, but the model has 5 positions"
    assert caught.value.fix == "use a shorter text"


def test_a_model_with_and_one_without_mask_are_not_equal(random_model):
    causal = random_model(SHAPE, architecture=GPT2)
    assert replace(causal, architecture=GPT2) == causal
    assert replace(causal, architecture=GPT2.without_mask()) != causal
