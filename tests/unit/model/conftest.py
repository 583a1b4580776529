"""Models with random tensors, and a forward pass written again, number by number."""

from __future__ import annotations

from dataclasses import replace
from math import cos, erf, exp, pi, sin, sqrt, tanh

import numpy as np
import pytest

from handcraft.architecture import BLOCK
from handcraft.dtype import numpy_dtype
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary

SHAPES = {
    "one block": Shape(n_vocab=4, n_positions=5, n_embd=6, n_head=1, n_inner=(0,)),
    "two heads": Shape(n_vocab=3, n_positions=6, n_embd=8, n_head=2, n_inner=(0,)),
    "an MLP": Shape(n_vocab=4, n_positions=4, n_embd=6, n_head=3, n_inner=(9,)),
    "three blocks, one without MLP": Shape(
        n_vocab=5, n_positions=7, n_embd=8, n_head=4, n_inner=(7, 0, 3)
    ),
    "heads of width 1": Shape(n_vocab=2, n_positions=3, n_embd=3, n_head=3, n_inner=(2, 2)),
    "one token, one position": Shape(n_vocab=1, n_positions=1, n_embd=2, n_head=1, n_inner=(1,)),
    "no block": Shape(n_vocab=3, n_positions=4, n_embd=5, n_head=1, n_inner=()),
}


def make_model(shape, *, dtype="float64", seed=0, architecture=BLOCK):
    """A model for texts of that many tokens and positions; a begin token comes on top of both."""
    random = np.random.default_rng(seed)
    vocabulary = Vocabulary("abcdefgh"[: shape.n_vocab])
    if architecture.is_rotary:
        shape = replace(shape, n_vocab=shape.n_vocab + 1, n_positions=shape.n_positions + 1)
    tensors = {
        name: random.normal(scale=0.5, size=sizes).astype(numpy_dtype(dtype))
        for name, sizes in shape.tensors(architecture).items()
    }
    return Model(architecture, shape, vocabulary, tensors)


ACTIVATIONS = {
    "relu": lambda h: h if h > 0 else 0.0,
    "gelu_erf": lambda h: h * (1 + erf(h / sqrt(2))) / 2,
    "gelu_tanh": lambda h: h * (1 + tanh(sqrt(2 / pi) * (h + 0.044715 * h**3))) / 2,
}


def naive_logits(model, ids):
    """A model in Python floats and loops: a list of logits for each position of a text."""
    if model.architecture.is_rotary:
        return naive_llama(model, [model.shape.n_vocab - 1, *ids])[1:]
    return naive_gpt2(model, ids)


def naive_gpt2(model, ids):
    t = {name: tensor.astype(np.float64).tolist() for name, tensor in model.tensors.items()}
    shape, facts = model.shape, model.architecture
    d = shape.n_embd
    stream = [
        [t["wte.weight"][token][i] + t["wpe.weight"][place][i] for i in range(d)]
        for place, token in enumerate(ids)
    ]
    for layer, inner in enumerate(shape.n_inner):
        stream = plus(
            stream, attention(t, shape, facts, layer, norm(t, facts, f"h.{layer}.ln_1", stream))
        )
        if inner:
            x = norm(t, facts, f"h.{layer}.ln_2", stream)
            stream = plus(stream, mlp(t, facts, f"h.{layer}.mlp", x))
    head = t["wte.weight"] if facts.tied else t["lm_head.weight"]
    return [
        [sum(x * e for x, e in zip(row, token, strict=True)) for token in head]
        for row in norm(t, facts, "ln_f", stream)
    ]


def attention(t, shape, facts, layer, stream):
    name, d, width = f"h.{layer}.attn", shape.n_embd, shape.n_embd // shape.n_head
    qkv = [linear(x, t[f"{name}.c_attn.weight"], t[f"{name}.c_attn.bias"]) for x in stream]
    scale = 1 / sqrt(width) if getattr(facts, "scales_scores", True) else 1.0
    if getattr(facts, "scales_by_layer", False):
        scale /= layer + 1
    added = []
    for here in range(len(stream)):
        seen = range(here + 1) if facts.causal else range(len(stream))
        heads = []
        for first in range(0, d, width):
            query = qkv[here][first : first + width]
            weights = []
            for there in seen:
                key = qkv[there][d + first : d + first + width]
                weights.append(exp(scale * sum(q * k for q, k in zip(query, key, strict=True))))
            for i in range(width):
                values = [qkv[there][2 * d + first + i] for there in seen]
                mixed = sum(weight * value for weight, value in zip(weights, values, strict=True))
                heads.append(mixed / sum(weights))
        added.append(linear(heads, t[f"{name}.c_proj.weight"], t[f"{name}.c_proj.bias"]))
    return added


def mlp(t, facts, name, stream):
    added = []
    for x in stream:
        hidden = linear(x, t[f"{name}.c_fc.weight"], t[f"{name}.c_fc.bias"])
        hidden = [ACTIVATIONS[facts.activation](h) for h in hidden]
        added.append(linear(hidden, t[f"{name}.c_proj.weight"], t[f"{name}.c_proj.bias"]))
    return added


def norm(t, facts, name, stream):
    if facts.norm == "none":
        return stream
    gain, bias = t[f"{name}.weight"], t[f"{name}.bias"]
    normed = []
    for x in stream:
        mean = sum(x) / len(x)
        spread = sqrt(sum((e - mean) ** 2 for e in x) / len(x) + facts.norm_epsilon)
        normed.append([(e - mean) / spread * g + b for e, g, b in zip(x, gain, bias, strict=True)])
    return normed


def linear(x, weight, bias):
    return [bias[j] + sum(x[i] * weight[i][j] for i in range(len(x))) for j in range(len(weight[0]))]


def plus(one, other):
    return [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(one, other, strict=True)]


def naive_llama(model, ids):
    """The begin token is in `ids`: it gets logits too."""
    t = {name: tensor.astype(np.float64).tolist() for name, tensor in model.tensors.items()}
    facts, shape = model.architecture, model.shape
    stream = [list(t["embed_tokens.weight"][token]) for token in ids]
    for layer, inner in enumerate(shape.n_inner):
        name = f"layers.{layer}"
        x = rms(t[f"{name}.input_layernorm.weight"], facts, stream)
        stream = plus(stream, rotary_attention(t, shape, facts, f"{name}.self_attn", x))
        if inner:
            x = rms(t[f"{name}.post_attention_layernorm.weight"], facts, stream)
            gates = [times(t[f"{name}.mlp.gate_proj.weight"], row) for row in x]
            ups = [times(t[f"{name}.mlp.up_proj.weight"], row) for row in x]
            hidden = [
                [g / (1 + exp(-g)) * u for g, u in zip(gate, up, strict=True)]
                for gate, up in zip(gates, ups, strict=True)
            ]
            stream = plus(stream, [times(t[f"{name}.mlp.down_proj.weight"], row) for row in hidden])
    head = t["embed_tokens.weight"] if facts.tied else t["lm_head.weight"]
    return [times(head, row) for row in rms(t["norm.weight"], facts, stream)]


def rotary_attention(t, shape, facts, name, stream):
    width, group = shape.head_dim, shape.n_head // shape.kv_heads
    queries, keys, values = (
        [times(t[f"{name}.{part}_proj.weight"], x) for x in stream] for part in "qkv"
    )
    added = []
    for here in range(len(stream)):
        first = 0 if facts.window is None else max(0, here - facts.window + 1)
        seen = range(first, here + 1) if facts.causal else range(len(stream))
        heads = []
        for head in range(shape.n_head):
            q = slice(head * width, (head + 1) * width)
            k = slice(head // group * width, (head // group + 1) * width)
            query = turned(queries[here][q], here, facts.theta)
            weights = []
            for there in seen:
                key = turned(keys[there][k], there, facts.theta)
                weights.append(exp(sum(a * b for a, b in zip(query, key, strict=True)) / sqrt(width)))
            for i in range(width):
                mixed = sum(w * values[j][k][i] for j, w in zip(seen, weights, strict=True))
                heads.append(mixed / sum(weights))
        added.append(times(t[f"{name}.o_proj.weight"], heads))
    return added


def turned(x, place, theta):
    """Each pair (j, j + half) as a complex number, turned by its angle."""
    half = len(x) // 2
    found = [0.0] * len(x)
    for j in range(half):
        angle = place * theta ** (-j / half)
        found[j] = x[j] * cos(angle) - x[j + half] * sin(angle)
        found[j + half] = x[j] * sin(angle) + x[j + half] * cos(angle)
    return found


def rms(gain, facts, stream):
    normed = []
    for x in stream:
        size = sqrt(sum(e * e for e in x) / len(x) + facts.norm_epsilon)
        normed.append([e / size * g for e, g in zip(x, gain, strict=True)])
    return normed


def times(rows, x):
    """A matrix stored [out, in] times a vector."""
    return [sum(w * e for w, e in zip(row, x, strict=True)) for row in rows]


@pytest.fixture
def random_model():
    return make_model


@pytest.fixture(scope="session")
def make_random():
    """The same, for tests by Hypothesis."""
    return make_model


@pytest.fixture
def naive():
    return naive_logits


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def shape(request):
    return request.param


@pytest.fixture
def small():
    """Two blocks with heads and an MLP, five positions, three tokens."""
    return make_model(Shape(n_vocab=3, n_positions=5, n_embd=8, n_head=2, n_inner=(6, 0)), seed=7)
