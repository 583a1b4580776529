"""Random layers and models in float32, run in NumPy with sums in any order and in torch."""

from __future__ import annotations

from dataclasses import replace

import float32_steps as steps
import numpy as np
import pytest
from float32_steps import F, boxes
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.folder.config import Config
from handcraft_check.layers.matrix import Matrix

torch = pytest.importorskip("torch")
functional = torch.nn.functional

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
widths = st.integers(1, 24)
EPSILON = float(F(1e-5))


def matrix(rng, rows, columns, most=3):
    weight, bias = boxes(rng, rows, columns, most=most).center, boxes(rng, 1, columns).center[0]
    return Matrix(np.clip(weight, -64, 64), np.clip(bias, -64, 64))


def gains(rng, width):
    return (boxes(rng, 1, width, most=3).center[0] for _ in range(2))


def to_torch(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(each, dtype=F)) for each in arrays]


def norms(rng, x, gain, bias):
    """The LayerNorm of NumPy and that of torch."""
    yield steps.layer_norm(rng, x, gain, bias, EPSILON)
    yield functional.layer_norm(to_torch(x)[0], x.shape[1:], *to_torch(gain, bias), EPSILON).numpy()


def scores_of(rng, rows, sources):
    scores = boxes(rng, rows, sources, most=rng.choice([2, 8]))
    if rng.random() < 0.5:  # one source far above all others
        scores.center[:, rng.integers(sources)] = scores.center.max() + rng.choice(
            [4, 17, 18.5, 20, 200]
        )
    return Bounded(scores.center.astype(F).astype(np.float64), scores.error)


def shapes_of(config):
    """The shapes of the tensors of a model."""
    width = config.n_embd
    shapes = {"wte.weight": (config.vocab_size, width), "wpe.weight": (config.n_positions, width)}
    if config.has_norm:
        shapes |= {"ln_f.weight": width, "ln_f.bias": width}
    for i in range(config.n_layer):
        inner = config.units(i)
        for name in ("ln_1", "ln_2") if config.has_norm else ():
            shapes |= {f"h.{i}.{name}.weight": width, f"h.{i}.{name}.bias": width}
        pairs = {"attn.c_attn": 3, "attn.c_proj": 1}
        shapes |= {f"h.{i}.{n}.weight": (width, k * width) for n, k in pairs.items()}
        shapes |= {f"h.{i}.{n}.bias": k * width for n, k in pairs.items()}
        if not inner:
            continue
        shapes |= {f"h.{i}.mlp.c_fc.weight": (width, inner), f"h.{i}.mlp.c_fc.bias": inner}
        shapes |= {f"h.{i}.mlp.c_proj.weight": (inner, width), f"h.{i}.mlp.c_proj.bias": width}
    return shapes


def random_block(rng):
    """A tiny model without LayerNorm, with ReLU: its config, and its tensors as float32 numbers."""
    return random_model(rng, has_norm=False)


def random_model(rng, *, has_norm=True):
    """A tiny GPT-2: its config, and its tensors as float32 numbers."""
    heads, size, layers = int(rng.integers(1, 3)), int(rng.integers(1, 5)), int(rng.integers(1, 3))
    width, vocab = heads * size, int(rng.integers(1, 5))
    config = Config(layers, heads, width, 7, 6, vocab, EPSILON, *(rng.random(2) < 0.5).tolist())
    if not has_norm:
        inner = tuple(rng.choice([0, 3, 7], size=layers).tolist())
        config = replace(config, has_norm=False, activation="relu", inner=inner)
    shapes = shapes_of(config)
    tensors = {name: rng.normal(size=shape) * rng.choice([0.5, 2, 8]) for name, shape in shapes.items()}
    if width >= 4 and rng.random() < 0.5:
        tensors["wte.weight"][:, :2] = [1024, -1024]
    for name in [name for name in shapes if name.endswith(("c_attn.weight", "c_fc.weight"))]:
        nothing = rng.random(tensors[name].shape[1]) < rng.choice([0, 0.4, 1])
        tensors[name][:, nothing] = tensors[name.replace("weight", "bias")][nothing] = 0
    return config, {name: each.astype(F).astype(np.float64) for name, each in tensors.items()}


def run(rng, config, tensors, ids, how, *, is_causal=True):
    """The last logits, in float32: by `how`, NumPy in any order or torch; without a mask all logits."""

    def times(x, name):
        return steps.product(rng, x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(x, name):
        if not config.has_norm:
            return x
        gain, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return list(norms(rng, x, gain, bias))[how]

    def activated(x):
        if config.activation == "relu":
            return np.maximum(x, F(0))
        return functional.gelu(*to_torch(x), approximate="tanh").numpy() if how else steps.gelu(x)

    x = (tensors["wte.weight"][ids].astype(F) + tensors["wpe.weight"][: len(ids)].astype(F)).astype(F)
    size, length = config.n_embd // config.n_head, len(ids)
    scale = F(1 / np.sqrt(size)) if config.scales_scores else F(1)
    for i in range(config.n_layer):
        each = scale / F(i + 1) if config.scales_by_layer else scale
        qkv = times(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").reshape(
            length, 3, config.n_head, size
        )
        out = np.zeros((length, config.n_head, size), dtype=F)
        for head in range(config.n_head):
            q, k, v = (qkv[:, part, head] for part in range(3))
            root = np.sqrt(each)
            scores = (
                steps.product(rng, q * root, (k * root).T, np.zeros(length))
                if rng.random() < 0.5
                else steps.product(rng, q, k.T, np.zeros(length)) * each
            )
            for at in range(length):
                end = at + 1 if is_causal else length
                seen = scores[at : at + 1, :end]
                weights = (
                    torch.softmax(*to_torch(seen), dim=1).numpy() if how else steps.softmax(rng, seen)
                )
                out[at, head] = steps.product(rng, weights, v[:end], np.zeros(size))[0]
        x = x + times(out.reshape(length, -1), f"h.{i}.attn.c_proj")
        if config.units(i):
            hidden = activated(times(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc"))
            x = x + times(hidden, f"h.{i}.mlp.c_proj")
    logits = steps.product(rng, norm(x, "ln_f"), tensors["wte.weight"].T, np.zeros(config.vocab_size))
    return logits[-1] if is_causal else logits
