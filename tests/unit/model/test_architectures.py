"""Every fact of an architecture changes the forward pass in the way it says."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft.architecture import Architecture
from handcraft.model import Shape

FACTS = {
    "LayerNorm": {"norm": "layer"},
    "LayerNorm with a large epsilon": {"norm": "layer", "norm_epsilon": 0.5},
    "gelu by tanh": {"activation": "gelu_tanh"},
    "gelu by erf": {"activation": "gelu_erf"},
    "untied": {"tied": False},
    "both ways": {"causal": False},
    "unscaled scores": {"scales_scores": False},
    "scores scaled by block": {"scales_by_layer": True},
    "GPT-2": {"norm": "layer", "activation": "gelu_tanh"},
}
SHAPE = Shape(n_vocab=4, n_positions=5, n_embd=6, n_head=2, n_inner=(8, 0, 5))
IDS = np.random.default_rng(0).integers(0, 4, (4, 5))


CAUSAL = [name for name, facts in FACTS.items() if facts.get("causal", True)]


@pytest.fixture(params=FACTS)
def model(request, random_model):
    return random_model(SHAPE, architecture=Architecture("other", **FACTS[request.param]))


def test_it_is_computed_as_plain_loops_compute_it(model, naive):
    expected = [naive(model, text) for text in IDS.tolist()]
    np.testing.assert_allclose(model.forward(IDS), expected, rtol=1e-8, atol=1e-9)


def test_it_makes_a_difference(model, random_model):
    plain = random_model(SHAPE)
    same = {name: model.tensors[name] for name in plain.tensors}
    other = type(plain)(plain.architecture, SHAPE, plain.vocabulary, same)
    assert not np.allclose(model.forward(IDS), other.forward(IDS))


@pytest.mark.parametrize("model", CAUSAL, indirect=True)
def test_the_cache_gives_the_logits_of_the_whole(model):
    cache = model.empty_cache(batch=len(IDS))
    steps = [model.forward(IDS[:, [i]], cache) for i in range(IDS.shape[1])]
    np.testing.assert_allclose(np.concatenate(steps, axis=1), model.forward(IDS), rtol=1e-10)
