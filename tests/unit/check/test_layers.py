"""No layer in float32 leaves its bounds, in NumPy with sums in any order and in torch."""

from __future__ import annotations

from dataclasses import replace

import float32_steps as steps
import numpy as np
import pytest
from float32_steps import F, assert_inside, boxes, point
from hypothesis import given
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.folder.config import Config
from handcraft_check.layers.attention import Weights, head_output, softmax
from handcraft_check.layers.hidden_units import mlp, without_pairs
from handcraft_check.layers.layer_norm import Matrix, layer_norm
from handcraft_check.layers.model import Model

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


@given(seeds, widths, st.booleans())
def test_layer_norm(rng, width, wide):
    x, (gain, bias) = boxes(rng, 3, width, wide=wide), gains(rng, width)
    found = layer_norm(Stream.of(x), gain, bias, EPSILON)
    assert_inside(found.center, Bounded(found.center, found.magnitude))
    for normed in norms(rng, point(rng, x), gain, bias):
        assert_inside(normed, Bounded(found.center, found.spread(np.eye(width))))
        assert_inside(normed, Bounded(np.zeros_like(normed, dtype=np.float64), found.magnitude))


@given(seeds, widths, st.booleans())
def test_a_product_behind_layer_norm(rng, width, wide):
    x, (gain, bias), reader = boxes(rng, 3, width, wide=wide), gains(rng, width), matrix(rng, width, 4)
    if width > 1 and rng.random() < 0.5:
        reader.weight[1] = -reader.weight[0]
    found, _ = layer_norm(Stream.of(x), gain, bias, EPSILON).read(reader)
    for normed in norms(rng, point(rng, x), gain, bias):
        assert_inside(steps.product(rng, normed, reader.weight, reader.bias), found)
        weight, add = to_torch(reader.weight, reader.bias)
        assert_inside(torch.addmm(add, *to_torch(normed), weight).numpy(), found)


@given(seeds, widths)
def test_a_product_of_weights_that_are_off(rng, width):
    used = matrix(rng, width, 3)
    part = rng.choice([2.0**-24, 2.0**-8, 0.5])
    apart, bias_apart = part * np.abs(used.weight), part * np.abs(used.bias)
    moved = (each * rng.choice([-1, 0, 1], size=each.shape) for each in (apart, bias_apart))
    center = (used.weight + next(moved), used.bias + next(moved))
    given = Matrix(*center, apart, bias_apart)
    x = boxes(rng, 2, width).center
    exact = x @ given.weight + given.bias
    found = given.product_error(np.abs(x), np.abs(exact))
    assert_inside(steps.product(rng, x, used.weight, used.bias), Bounded(exact, found))


def test_what_layer_norm_overflows_on_is_known_no_more():
    x = np.array([[1e20, -1e20, 0.0], [1024.0, -1024.0, 0.0]])
    with np.errstate(over="ignore"):
        rng = np.random.default_rng(0)
        assert not steps.layer_norm(rng, x.astype(F), np.ones(3), np.zeros(3), EPSILON)[0].any()
    found = layer_norm(Stream.of(Bounded(x, np.zeros_like(x))), np.ones(3), np.zeros(3), EPSILON)
    assert np.isnan(found.center[0]).all()
    assert np.isfinite(found.center[1]).all()


@given(seeds, widths, st.integers(1, 24), st.booleans())
def test_mlp(rng, width, units, wide):
    x, (gain, bias) = boxes(rng, 3, width, wide=wide), gains(rng, width)
    up, down = matrix(rng, width, units), matrix(rng, units, width)
    if rng.random() < 0.7:  # beyond the curved part of GELU
        up.bias[:] = rng.choice([-1, 1], size=units) * rng.choice([16, 256, 4096])
    if units > 1:  # a pair that cancels
        up.weight[:, 1], down.weight[1] = up.weight[:, 0], -down.weight[0]
    if rng.random() < 0.5:  # a unit that clears a dimension, errors included
        up.weight[:, 0], down.weight[0] = 0, 0
        up.weight[0, 0], up.bias[0], down.weight[0, 0] = (
            8,
            4096,
            -np.sqrt(x.center.var(axis=1).mean()) / 8,
        )
    found = mlp(layer_norm(Stream.of(x), gain, bias, EPSILON), up, down)
    true = point(rng, x)
    for normed in norms(rng, true, gain, bias):
        hidden = steps.gelu(steps.product(rng, normed, up.weight, up.bias))
        written = steps.product(rng, hidden, down.weight, down.bias)
        assert_inside(true.astype(np.float64) + written, found)
        weights = to_torch(up.bias, normed, up.weight)
        hidden = functional.gelu(torch.addmm(*weights), approximate="tanh")
        bias, weight = to_torch(down.bias, down.weight)
        assert_inside(true.astype(np.float64) + torch.addmm(bias, hidden, weight).numpy(), found)


def scores_of(rng, rows, sources):
    scores = boxes(rng, rows, sources, most=rng.choice([2, 8]))
    if rng.random() < 0.5:  # one source far above all others
        scores.center[:, rng.integers(sources)] = scores.center.max() + rng.choice(
            [4, 17, 18.5, 20, 200]
        )
    return Bounded(scores.center.astype(F).astype(np.float64), scores.error)


def test_both_units_of_a_step_are_straight_for_nothing():
    up = Matrix(np.array([[8.0, 8, 8, 8, 2]]), np.array([40.0, 24, 8, -8, 0]))
    down = Matrix(np.array([[1.0], [-1], [1], [-1], [-1]]), np.zeros(1))
    is_on = np.tri(5, 5, -1, dtype=bool)[:, [0, 1, 2, 3, 4]]
    left = without_pairs(np.vstack([is_on, np.ones((1, 5), dtype=bool)]), up, down)
    assert left.sum(axis=1).tolist() == [0, 1, 0, 1, 0, 1]
    assert left[-1, 4]
    assert left[1, 0]
    assert left[3, 2]


@given(seeds, st.integers(1, 20))
def test_softmax(rng, sources):
    scores = scores_of(rng, 3, sources)
    found, true = softmax(scores), point(rng, scores)
    slack = found.error + found.common[:, None] * found.most + 2.0**-126
    for weights in (steps.softmax(rng, true), torch.softmax(*to_torch(true), dim=1).numpy()):
        assert_inside(weights, Bounded(found.center, slack))
        assert (weights <= found.most * (1 + found.common[:, None]) + 2.0**-126).all()
        is_certain = np.isfinite(found.rest)
        assert (weights.max(axis=1) == 1)[is_certain].all()
        assert (weights.sum(axis=1) - 1 <= found.rest + 1e-6)[is_certain].all()


@given(seeds, st.integers(2, 20), st.sampled_from([20, 100, 1000, 1e6]))
def test_softmax_of_scores_with_large_errors(rng, sources, size):
    """Also winners by more than that: exactly 1, whatever all scores together are off by."""
    error = size * rng.random((3, sources))
    center = rng.normal(size=(3, sources)) * size * rng.choice([0.1, 1, 10])
    scores = Bounded(center.astype(F).astype(np.float64), error)
    true = point(rng, scores)
    found = softmax(scores)
    slack = found.error + found.common[:, None] * found.most + 2.0**-126
    for weights in (steps.softmax(rng, true), torch.softmax(*to_torch(true), dim=1).numpy()):
        assert_inside(weights, Bounded(found.center, slack))
        assert (weights.max(axis=1) == 1)[np.isfinite(found.rest)].all()
    low, high = scores.center - error, scores.center + error
    top = low.argmax(axis=1)[:, None]
    second = np.where(np.arange(sources) == top, -np.inf, high).max(axis=1)
    wins = low.max(axis=1) - second > 25 + 1e-5 * size
    assert np.isfinite(found.rest)[wins].all()


def test_weights_of_scores_that_are_no_numbers_are_none():
    for center, error in (([np.nan, 0.0], [0.0, 0.0]), ([1.0, 0.0], [np.nan, 0.0])):
        found = softmax(Bounded(np.array([center]), np.array([error])))
        assert np.isnan(found.center + found.error).any()


@given(seeds, st.integers(1, 20), st.integers(1, 5))
def test_what_a_head_reads(rng, sources, width):
    scores, values = scores_of(rng, 1, sources), boxes(rng, sources, width)
    found = head_output(softmax(scores), Bounded(values.center[None], values.error[None]))
    true, read = point(rng, scores), point(rng, values)
    weights = steps.softmax(rng, true)
    assert_inside(steps.product(rng, weights, read, np.zeros(width)), found)
    rows, numbers = to_torch(true, read)
    assert_inside((torch.softmax(rows, dim=1) @ numbers).numpy(), found)


def test_sources_that_are_not_seen_weigh_nothing():
    found = softmax(Bounded(np.array([[3.0, -np.inf, 1.0]]), np.zeros((1, 3))))
    both = softmax(Bounded(np.array([[3.0, 1.0]]), np.zeros((1, 2))))
    assert found.most[0, 1] == found.error[0, 1] == 0
    assert np.allclose(found.center[0, [0, 2]], both.center[0], rtol=1e-12)
    assert isinstance(found, Weights)


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


@pytest.mark.parametrize("how", [0, 1])
@pytest.mark.parametrize("made", [random_model, random_block])
@given(seeds)
def test_a_whole_model(made, how, rng):
    config, tensors = made(rng)
    ids = rng.integers(0, config.vocab_size, size=int(rng.integers(1, 7)))
    assert_inside(run(rng, config, tensors, ids, how), Model(config, tensors).run(ids))
