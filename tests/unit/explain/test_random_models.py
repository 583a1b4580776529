"""Direct logit attribution of random models, in which nothing is 0, mirrored or a whole number."""

from __future__ import annotations

from dataclasses import replace
from math import fsum

import numpy as np
import pytest

from handcraft.architecture import BLOCK, GPT2
from handcraft.explain import explain_prediction
from handcraft.model import Model, Shape
from handcraft.subject import Subject
from handcraft.vocabulary import Vocabulary

SHAPE = Shape(n_vocab=6, n_positions=9, n_embd=24, n_head=3, n_inner=(40, 0, 16))


def random_model(architecture, seed=0) -> Model:
    rng = np.random.default_rng(seed)
    tensors = {
        name: (rng.normal(size=shape) * 0.3 + 0.05).astype(np.float32)
        for name, shape in SHAPE.tensors(architecture).items()
    }
    return Model(architecture, SHAPE, Vocabulary("abcdef"), tensors)


ARCHITECTURES = [BLOCK, GPT2, replace(GPT2, tied=False), GPT2.without_mask()]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=["block", "gpt2", "untied", "no mask"])
@pytest.mark.parametrize("seed", range(3))
def test_parts_sum_to_the_logits_within_the_bound(architecture, seed):
    model = random_model(architecture, seed)
    found = explain_prediction(Subject("random", model=model), "fbadce")
    assert found.logits == tuple(model.trace("fbadce")["logits"][-1].tolist())
    for k, logit in enumerate(found.logits):
        exact = fsum(part.logits[k] for part in found.parts if part.kind != "rounding")
        assert abs(exact - logit) <= found.bound[k]
        assert found.bound[k] < 0.01, "a bound that says something"
        assert fsum(part.logits[k] for part in found.parts) == pytest.approx(logit, rel=1e-14)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=["block", "gpt2", "untied", "no mask"])
def test_a_part_is_what_the_frozen_model_lacks_without_it(architecture):
    """What a head or a unit of the last block adds, against the stream without it, computed anew."""
    model = random_model(architecture)
    found, trace = explain_prediction(Subject("random", model=model), "fbadce"), model.trace("fbadce")
    stream = trace["h.2.output"][-1].astype(np.float64)
    head = model.tensors["wte.weight" if architecture.tied else "lm_head.weight"].astype(np.float64)

    def logits(x: np.ndarray) -> np.ndarray:
        if not architecture.has_norm:
            return x @ head.T
        scale = 1 / np.sqrt(stream.var() + architecture.norm_epsilon)
        normed = (x - x.mean()) * scale * model.tensors["ln_f.weight"] + model.tensors["ln_f.bias"]
        return normed @ head.T

    checked = 0
    for part in found.parts:
        if part.block != 2 or part.kind not in ("head", "neuron"):
            continue
        if part.kind == "neuron":
            row = model.tensors["h.2.mlp.c_proj.weight"][part.index].astype(np.float64)
            written = trace["h.2.mlp.hidden"][-1, part.index].astype(np.float64) * row
        else:
            rows = slice(part.index * SHAPE.head_dim, (part.index + 1) * SHAPE.head_dim)
            weights = model.tensors["h.2.attn.c_proj.weight"][rows].astype(np.float64)
            written = trace["h.2.attn.head_output"][part.index, -1].astype(np.float64) @ weights
        missing = logits(stream) - logits(stream - written)
        assert missing == pytest.approx(part.logits, rel=1e-9, abs=1e-10)
        checked += 1
    assert checked > SHAPE.n_head


def test_what_no_name_is_known_of_is_numbered():
    found = explain_prediction(Subject("random", model=random_model(GPT2)), "fb")
    assert [(head.block, head.name) for head in found.heads] == [
        (block, f"head {head}") for block in range(3) for head in range(3)
    ]
    assert {neuron.name for neuron in found.neurons} <= {f"unit {unit}" for unit in range(40)}
    assert found.notes
    assert max(map(len, str(found).splitlines())) <= 80
