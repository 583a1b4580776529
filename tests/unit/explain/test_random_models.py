"""Direct logit attribution of random models, in which nothing is 0, mirrored or a whole number."""

from __future__ import annotations

from dataclasses import replace
from math import fsum

import numpy as np
import pytest

from handcraft.architecture import BLOCK, GPT2, LLAMA, llama
from handcraft.explain import explain_prediction
from handcraft.model import Model, Shape
from handcraft.subject import Subject
from handcraft.vocabulary import Vocabulary

SHAPE = Shape(n_vocab=6, n_positions=9, n_embd=24, n_head=3, n_inner=(40, 0, 16))
GROUPED = Shape(7, 9, 24, 6, (40, 40, 40), n_kv_head=3, own_head_dim=10)


def random_model(architecture, seed=0) -> Model:
    rng = np.random.default_rng(seed)
    sizes = GROUPED if architecture.is_rotary else SHAPE
    tensors = {
        name: (rng.normal(size=shape) * 0.3 + 0.05).astype(np.float32)
        for name, shape in sizes.tensors(architecture).items()
    }
    return Model(architecture, sizes, Vocabulary("abcdef"), tensors)


ARCHITECTURES = [
    BLOCK,
    GPT2,
    replace(GPT2, tied=False),
    GPT2.without_mask(),
    LLAMA,
    llama(tied=False, window=3, theta=50.0),
]
NAMES = ["block", "gpt2", "untied", "no mask", "llama", "untied llama"]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_parts_sum_to_the_logits_within_the_bound(architecture, seed):
    model = random_model(architecture, seed)
    found = explain_prediction(Subject("random", model=model), "fbadce")
    assert found.logits == tuple(model.trace("fbadce")["logits"][-1, :6].tolist())
    for k, logit in enumerate(found.logits):
        exact = fsum(part.logits[k] for part in found.parts if part.kind != "rounding")
        assert abs(exact - logit) <= found.bound[k]
        assert found.bound[k] < 0.01, "a bound that says something"
        assert fsum(part.logits[k] for part in found.parts) == pytest.approx(logit, rel=1e-14)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
def test_a_part_is_what_the_frozen_model_lacks_without_it(architecture):
    """What a head or a unit of the last block adds, against the stream without it, computed anew."""
    model = random_model(architecture)
    found, trace = explain_prediction(Subject("random", model=model), "fbadce"), model.trace("fbadce")
    stream = trace["h.2.output"][-1].astype(np.float64)
    wte = "embed_tokens.weight" if architecture.is_rotary else "wte.weight"
    head = model.tensors[wte if architecture.tied else "lm_head.weight"][:6].astype(np.float64)
    heads, units = (
        ("layers.2.self_attn.o_proj.weight", "layers.2.mlp.down_proj.weight")
        if architecture.is_rotary
        else ("h.2.attn.c_proj.weight", "h.2.mlp.c_proj.weight")
    )

    def rows_of(name: str) -> np.ndarray:
        stored = model.tensors[name].astype(np.float64)
        return stored.T if architecture.is_rotary else stored

    def logits(x: np.ndarray) -> np.ndarray:
        if not architecture.has_norm:
            return x @ head.T
        if architecture.is_rotary:
            scale = 1 / np.sqrt(np.square(stream).mean() + architecture.norm_epsilon)
            return x * scale * model.tensors["norm.weight"] @ head.T
        scale = 1 / np.sqrt(stream.var() + architecture.norm_epsilon)
        normed = (x - x.mean()) * scale * model.tensors["ln_f.weight"] + model.tensors["ln_f.bias"]
        return normed @ head.T

    checked = 0
    for part in found.parts:
        if part.block != 2 or part.kind not in ("head", "neuron"):
            continue
        if part.kind == "neuron":
            row = rows_of(units)[part.index]
            written = trace["h.2.mlp.hidden"][-1, part.index].astype(np.float64) * row
        else:
            size = model.shape.head_dim
            weights = rows_of(heads)[part.index * size : (part.index + 1) * size]
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


def test_the_begin_token_is_a_source_of_its_own_before_position_0():
    found = explain_prediction(Subject("random", model=random_model(LLAMA)), "fb")
    assert found.tokens == ("f", "b")
    assert len(found.heads) == 3 * GROUPED.n_head
    for head in found.heads:
        assert [(look.position, look.token) for look in head.looks] == [(0, "f"), (1, "b")]
        first = {(source.position, source.token) for source in head.looks[0].sources}
        assert first == {(-1, "<s>"), (0, "f")}
    assert "  1 b   " in str(found)
    assert ", <s> (" in str(found)
    assert "the last norm divides each part by the root mean square" in " ".join(str(found).split())
    assert {part.kind for part in found.parts} == {"embedding", "head", "neuron", "rounding"}
