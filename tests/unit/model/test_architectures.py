"""Every fact of an architecture changes the forward pass in the way it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handcraft.architecture import Architecture
from handcraft.model import Shape

LLAMA_FACTS = {"norm": "rms", "activation": "silu", "theta": 10_000.0}
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
    "Llama": LLAMA_FACTS,
    "Llama, untied": LLAMA_FACTS | {"tied": False},
    "Llama with other frequencies": LLAMA_FACTS | {"theta": 7.0},
    "Llama with a window": LLAMA_FACTS | {"window": 3},
    "Llama with a window of one": LLAMA_FACTS | {"window": 1},
    "Llama with a large epsilon": LLAMA_FACTS | {"norm_epsilon": 0.5},
    "Llama that sees both ways": LLAMA_FACTS | {"causal": False},
}
SHAPE = Shape(n_vocab=4, n_positions=5, n_embd=8, n_head=2, n_inner=(8, 0, 5))
IDS = np.random.default_rng(0).integers(0, 4, (4, 5))


CAUSAL = [name for name, facts in FACTS.items() if facts.get("causal", True)]


@pytest.fixture(params=FACTS)
def model(request, random_model):
    return random_model(SHAPE, architecture=Architecture("other", **FACTS[request.param]))


def test_it_is_computed_as_plain_loops_compute_it(model, naive):
    expected = [naive(model, text) for text in IDS.tolist()]
    np.testing.assert_allclose(model.forward(IDS), expected, rtol=1e-8, atol=1e-9)


OTHERWISE = {
    "norm": "none",
    "norm_epsilon": 1e-5,
    "activation": "relu",
    "tied": True,
    "causal": True,
    "scales_scores": True,
    "scales_by_layer": False,
    "theta": 10_000.0,
    "window": None,
}


CHANGES = [
    (name, fact)
    for name, facts in FACTS.items()
    for fact in facts
    if facts[fact] not in (OTHERWISE[fact], "rms")  # a rotary model has no other norm
]


@pytest.mark.parametrize(("name", "fact"), CHANGES)
def test_every_fact_makes_a_difference(random_model, name, fact):
    facts = FACTS[name]
    model = random_model(SHAPE, architecture=Architecture("one", **facts))
    changed = Architecture("other", **{**facts, fact: OTHERWISE[fact]})
    other = random_model(SHAPE, architecture=changed)
    shared = {each: model.tensors.get(each, tensor) for each, tensor in other.tensors.items()}
    assert not np.allclose(model.forward(IDS), replace(other, tensors=shared).forward(IDS))


@pytest.mark.parametrize("model", CAUSAL, indirect=True)
def test_the_cache_gives_the_logits_of_the_whole(model):
    cache = model.empty_cache(batch=len(IDS))
    steps = [model.forward(IDS[:, [i]], cache) for i in range(IDS.shape[1])]
    np.testing.assert_allclose(np.concatenate(steps, axis=1), model.forward(IDS), rtol=1e-10)
