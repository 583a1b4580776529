"""No step of a Llama leaves its bounds, in NumPy with sums in any order, torch and transformers."""

from __future__ import annotations

from dataclasses import replace

import float32_steps as steps
import numpy as np
import pytest
from float32_steps import F, assert_inside, boxes, point
from half_numbers import assert_holds, half, half_boxes, half_point, halves, numbers, to_half
from hypothesis import given
from hypothesis import strategies as st
from random_layers import functional, seeds, torch, widths

from handcraft_check.arithmetic.regime import IN_FLOAT32, REGIMES
from handcraft_check.arithmetic.rounding import Bounded, multiplied, product_range, rounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_cases.cases import Entries, Runner
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.rms_norm_of_sums import are_numbers, rms_norm_of_sums
from handcraft_check.by_windows.sums import Sums
from handcraft_check.folder.config import Config
from handcraft_check.layers.attention import clear_winners
from handcraft_check.layers.gated_units import (
    SILENT,
    gated_mlp,
    half_gated_mlp,
    silu_range,
)
from handcraft_check.layers.llama import Llama
from handcraft_check.layers.matrix import Matrix
from handcraft_check.layers.rms_norm import half_rms_norm, rms_norm
from handcraft_check.layers.rotary import Rotary, rotary_heads

transformers = pytest.importorskip("transformers")
modeling = pytest.importorskip("transformers.models.llama.modeling_llama")

dtypes = st.sampled_from(["float32", "bfloat16", "float16"])
EPSILON = float(F(1e-6))


def matrix(rng, rows, columns, most=3):
    """Weights without a bias."""
    return Matrix(np.clip(boxes(rng, rows, columns, most=most).center, -64, 64), np.zeros(columns))


def gains(rng, width):
    found = boxes(rng, 1, width, most=3).center[0]
    return 2.0 ** rng.integers(-3, 5, size=width) if rng.random() < 0.5 else found


def rms_in_torch(name, x, gain, epsilon=EPSILON):
    norm = modeling.LlamaRMSNorm(len(gain), epsilon)
    norm.weight.data = to_half(name, gain)[0]
    with torch.no_grad():
        return numbers(norm(to_half(name, x)[0]))


def rms_by_hand(rng, x, gain):
    """RMSNorm in float32, with a sum in any order."""
    square = steps.summed(rng, np.square(x).astype(F).T) / F(x.shape[1])
    scale = (F(1) / np.sqrt(square + F(EPSILON)))[:, None]
    return (x * scale) * gain.astype(F)


def whole_rows(rng, count, width):
    """Whole numbers of which the squares have a sum that is 64 times the width."""
    found = np.full((count, width), 8.0) * rng.choice([-1, 1], size=(count, width))
    for row in found:
        for _ in range(int(rng.integers(0, 4))):
            free = np.flatnonzero(np.abs(row) == 8)
            if len(free) >= 4:  # 64 + 64 + 64 + 64 = 256 + 0 + 0 + 0 = 144 + 100 + 12...
                row[rng.permutation(free)[:4]] = [16, 0, 0, 0]
    return found


@given(seeds, widths, st.booleans())
def test_rms_norm(rng, width, wide):
    x, gain = boxes(rng, 3, width, wide=wide), gains(rng, width)
    found = rms_norm(Stream.of(x), gain, EPSILON)
    true = point(rng, x)
    for normed in (rms_by_hand(rng, true, gain), rms_in_torch("float32", true, gain)):
        assert_inside(normed, Bounded(found.center, found.spread(np.eye(width))))
        assert_inside(normed, Bounded(np.zeros_like(normed, dtype=np.float64), found.magnitude))


@given(seeds, widths, st.booleans())
def test_a_product_behind_rms_norm(rng, width, wide):
    x, gain, reader = boxes(rng, 3, width, wide=wide), gains(rng, width), matrix(rng, width, 4)
    found, _ = rms_norm(Stream.of(x), gain, EPSILON).read(reader)
    true = point(rng, x)
    for normed in (rms_by_hand(rng, true, gain), rms_in_torch("float32", true, gain)):
        assert_inside(steps.product(rng, normed, reader.weight, reader.bias), found)


def test_what_rms_norm_overflows_on_is_known_no_more():
    x = Stream.of(Bounded(np.full((1, 2), 1e25), np.zeros((1, 2))))
    assert np.isnan(rms_norm(x, np.ones(2), EPSILON).center).all()


@given(seeds, halves, widths, st.booleans())
def test_rms_norm_in_few_digits(rng, name, width, wide):
    x, gain = half_boxes(rng, name, 3, width, wide=wide), half(name, gains(rng, width))
    format = REGIMES[name].steps
    if rng.random() < 0.3:
        x = Bounded(whole_rows(rng, 3, width), np.zeros((3, width)))
    known = Bounded(gain.astype(np.float64), np.zeros(width))
    found = half_rms_norm(Stream.of(x), known, EPSILON, format)
    normed = rms_in_torch(name, half_point(rng, name, x), gain)
    assert_holds(normed, Bounded(found.center, found.error))


@given(seeds, halves, st.integers(1, 6))
def test_a_root_that_is_a_power_of_two_is_undone_without_error(rng, name, power):
    width = 2**power
    x = Bounded(whole_rows(rng, 2, width), np.zeros((2, width)))
    gain = Bounded(np.full(width, 8.0), np.zeros(width))
    found = half_rms_norm(Stream.of(x), gain, EPSILON, REGIMES[name].steps)
    assert (found.center == x.center).all()
    assert not found.error.any()


@given(seeds, dtypes, st.integers(1, 16))
def test_rms_norm_of_sums(rng, name, width):
    format = REGIMES[name].steps
    is_whole = rng.random() < 0.5
    tables = [np.rint(rng.normal(size=(3, width)) * 4) for _ in range(2)]
    known = np.zeros((1, width))
    if is_whole:  # each is a one of several dimensions
        tables = [np.zeros((3, width)), np.zeros((3, width))]
        for table in tables:
            table[np.arange(3), rng.integers(width, size=3)] = 1
        known[0] = rng.choice([0, 8, 16], size=width)
    else:
        tables = [half(name, t * 0.37).astype(np.float64) for t in tables]
    error = np.full((1, width), rng.choice([0, 1e-30, 2.0**-20]))
    everything = np.array([3])
    parts = [Part(table, [np.arange(3)], everything) for table in tables]
    sums, gain = Sums(parts, Stream.of(Bounded(known, error))), half(name, gains(rng, width))
    found = rms_norm_of_sums(sums, gain.astype(np.float64), EPSILON, format)
    reader = matrix(rng, width, 3)
    read, _ = found.read(reader)
    for one in tables[0]:
        for other in tables[1]:
            x = half(name, known[0] + one + other)
            if (np.abs(x - (known[0] + one + other)) > error[0]).any():
                continue
            normed = rms_in_torch(name, x[None], gain)
            assert_holds(normed, Bounded(found.center, found.magnitude - np.abs(found.center)))
            assert_holds(normed @ reader.weight, read)


@given(seeds, dtypes, st.integers(1, 6))
def test_sums_that_are_numbers_of_a_format(rng, name, width):
    format = REGIMES[name].steps
    scale = 2.0 ** rng.integers(-10, 10, size=width)
    tables = [np.rint(rng.normal(size=(4, width)) * 2.0 ** rng.integers(0, 10)) * scale for _ in (0, 1)]
    parts = [Part(table, [np.arange(4)], np.array([4])) for table in tables]
    sums = Sums(parts, Stream.of(Bounded(np.zeros((1, width)), np.zeros((1, width)))))
    known = are_numbers(sums, format)[0]
    for one in tables[0]:
        for other in tables[1]:
            assert (format.nearest(one + other) == one + other)[known].all()


@given(seeds, halves, widths)
def test_a_product_is_rounded(rng, name, width):
    one, other = (half_boxes(rng, name, 2, width) for _ in range(2))
    found = multiplied(one, other, REGIMES[name].steps)
    left, right = (half_point(rng, name, each) for each in (one, other))
    (a, b) = to_half(name, left, right)
    assert_holds(numbers(a * b), found)


@given(seeds, st.integers(1, 12), st.sampled_from([1, 30, 300]))
def test_what_all_others_weigh(rng, sources, apart):
    center = rng.normal(size=(4, sources)) * 5
    center[:, rng.integers(sources)] += apart
    center = center.astype(F).astype(np.float64)
    error = rng.choice([0, 1e-4, 0.5]) * rng.random(center.shape)
    hidden = rng.random(center.shape) < 0.2
    hidden[np.arange(4), center.argmax(axis=1)] = False
    box = Bounded(np.where(hidden, -np.inf, center), np.where(hidden, 0.0, error))
    best, rest = clear_winners(box)
    scores = np.where(hidden, -np.inf, point(rng, Bounded(center, error))).astype(F)
    for weights in (steps.softmax(rng, scores), torch.softmax(torch.from_numpy(scores), 1).numpy()):
        others = weights.astype(np.float64)
        others[np.arange(4), best] = 0
        assert (others.sum(axis=1) <= rest).all()


@given(seeds, widths)
def test_a_product_in_float32(rng, width):
    one, other = (boxes(rng, 2, width) for _ in range(2))
    assert_inside(point(rng, one) * point(rng, other), product_range(one, other))


@given(seeds, st.sampled_from([1e4, 5e5, 1e6]), st.sampled_from([2, 6, 16, 64, 128]))
def test_angles(rng, theta, head_dim):
    rotary = Rotary(np.arange(head_dim // 2)[None], theta, head_dim)
    positions = rng.integers(0, 8193, size=5)
    shares = torch.arange(0, head_dim, 2, dtype=torch.float) / head_dim
    frequencies = 1.0 / (theta**shares)
    angles = torch.from_numpy(positions)[:, None].float() * frequencies
    assert_inside(angles.numpy(), rotary.angles(positions)[:, 0])
    shares = np.arange(0, head_dim, 2, dtype=F) / F(head_dim)
    by_numpy = F(1) / np.power(F(theta), shares)
    assert_inside(positions[:, None].astype(F) * by_numpy, rotary.angles(positions)[:, 0])


@given(seeds, dtypes, st.sampled_from([1e4, 5e5]), st.sampled_from([2, 6, 16]))
def test_queries_are_rotated(rng, name, theta, head_dim):
    regime, half_dim = REGIMES[name], head_dim // 2
    rotary = Rotary(np.arange(half_dim)[None], theta, head_dim)
    positions = rng.integers(0, 8193, size=4)
    box = boxes(rng, 4, head_dim) if name == "float32" else half_boxes(rng, name, 4, head_dim)
    behind = np.zeros((4, 1, 2))
    x = Bounded(*(np.concatenate([e[:, None], behind], axis=-1) for e in (box.center, box.error)))
    found = rotary.rotated(x, positions, regime)[..., :head_dim]
    true = point(rng, box) if name == "float32" else half_point(rng, name, box)
    config = transformers.LlamaConfig(
        hidden_size=head_dim,
        num_attention_heads=1,
        head_dim=head_dim,
        max_position_embeddings=8193,
        rope_parameters={"rope_theta": theta, "rope_type": "default"},
    )
    (rows,) = to_half(name, true)
    tables = modeling.LlamaRotaryEmbedding(config)(rows, torch.from_numpy(positions)[None])
    turned, _ = modeling.apply_rotary_pos_emb(rows[None, None], rows[None, None], *tables)
    assert_holds(numbers(turned)[0, 0], found[:, 0])
    if name == "float32":  # with fused multiply-add
        cos, sin = (each.numpy()[0].astype(np.float64) for each in tables)
        other = np.concatenate([-true[:, half_dim:], true[:, :half_dim]], axis=1).astype(np.float64)
        fused = (true * cos + (other * sin).astype(F)).astype(F)
        assert_inside(fused, found[:, 0])


def test_position_0_is_not_rotated():
    rotary = Rotary(np.arange(4)[None], 1e4, 8)
    x = Bounded(np.arange(10.0)[None, None], np.zeros((1, 1, 10)))
    for name in ("float32", "bfloat16"):
        found = rotary.rotated(x, np.array([0]), REGIMES[name])
        assert_inside(x.center[..., :8], found[..., :8])
        assert found.error.max() < 1e-5


@given(seeds, st.booleans())
def test_silu(rng, is_wide):
    low = rng.uniform(-130, 130, size=50) * 2.0 ** rng.integers(-20, 1, size=50)
    low[:4] = [-1.2785, -1.2784, -SILENT, -88.4]
    high = low + rng.random(50) * (4 if is_wide else 1e-6) * rng.integers(0, 2, size=50)
    low, high = (each.astype(F).astype(np.float64) for each in (low, high))
    low, high = np.minimum(low, high), np.maximum(low, high)
    found = silu_range(low, high)
    x = rng.uniform(low, high).astype(F)
    x = np.clip(x, low, high).astype(F)
    with np.errstate(over="ignore"):
        ways = [
            functional.silu(torch.from_numpy(x)).numpy(),
            x / (F(1) + np.exp(-x)),
            x * (F(1) / (F(1) + np.exp(-x))),
            np.where(np.abs(x) < 1e-38, F(0), x) * torch.sigmoid(torch.from_numpy(x)).numpy(),
        ]
    for each in ways:
        assert_inside(each, found)


def test_a_closed_gate_is_0_and_an_open_one_is_nearly_straight():
    closed = silu_range(np.array([-128.0, -1e30]), np.array([-SILENT, -200.0]))
    assert not closed.center.any()
    assert not closed.error.any()
    opened = silu_range(np.array([128.0]), np.array([128.0]))
    assert abs(opened.center[0] - 128) + opened.error[0] < 2e-4


@given(seeds, widths, st.integers(1, 12), st.booleans())
def test_a_gated_mlp(rng, width, units, wide):
    x, gain = boxes(rng, 3, width, wide=wide), gains(rng, width)
    gate, up, down = matrix(rng, width, units, 6), matrix(rng, width, units), matrix(rng, units, width)
    found = gated_mlp(rms_norm(Stream.of(x), gain, EPSILON), gate, up, down)
    true = point(rng, x)
    for normed in (rms_by_hand(rng, true, gain), rms_in_torch("float32", true, gain).astype(F)):
        opening = steps.product(rng, normed, gate.weight, gate.bias)
        hidden = functional.silu(torch.from_numpy(opening)).numpy()
        hidden = hidden * steps.product(rng, normed, up.weight, up.bias)
        written = steps.product(rng, hidden, down.weight, down.bias)
        behind = (true + written).astype(F)  # which covers what float64 loses in the center
        assert_inside(behind, rounded(found.center - found.error, found.center + found.error))


@given(seeds, halves, widths, st.integers(1, 12))
def test_a_gated_mlp_in_few_digits(rng, name, width, units):
    read = half_boxes(rng, name, 3, width)
    gate, up = (matrix(rng, width, units) for _ in range(2))
    down = matrix(rng, units, width)
    if rng.random() < 0.5:
        read = Bounded(np.rint(read.center), 0 * read.error)
    gate, up, down = (
        Matrix(half(name, each.weight).astype(np.float64), each.bias) for each in (gate, up, down)
    )
    found = half_gated_mlp(read, gate, up, down, REGIMES[name])
    rows, *weights = to_half(
        name, half_point(rng, name, read), gate.weight.T, up.weight.T, down.weight.T
    )
    hidden = functional.silu(rows @ weights[0].T) * (rows @ weights[1].T)
    assert_holds(numbers(hidden @ weights[2].T), found)


@given(seeds)
def test_heads_without_zeros_are_the_same(rng):
    size, count, shared, width = 2 * int(rng.integers(1, 4)), 4, int(rng.choice([1, 2, 4])), 5
    q, k, v, out = (
        matrix(rng, *shape)
        for shape in [
            (width, count * size),
            (width, shared * size),
            (width, shared * size),
            (count * size, width),
        ]
    )
    for each in (q, k, v):
        each.weight[:, rng.random(each.weight.shape[1]) < rng.choice([0.2, 0.7, 1])] = 0
    heads, pairs = rotary_heads(q, k, v, out, size)
    x, at = rng.normal(size=(3, width)), np.arange(3)
    whole = [(x @ each.weight).reshape(3, -1, size) for each in (q, k, v)]
    whole[1:] = [np.repeat(each, count // shared, axis=1) for each in whole[1:]]
    rotary = Rotary(np.tile(np.arange(size // 2), (count, 1)), 1e4, size)
    less = Rotary(pairs, 1e4, size)

    def turned(turn, rows):
        both = np.concatenate([rows, np.zeros((*rows.shape[:2], 2))], axis=-1)
        return turn.rotated(Bounded(both, 0 * both), at, IN_FLOAT32).center[..., :-2]

    scores = np.einsum("qhd,khd->hqk", turned(rotary, whole[0]), turned(rotary, whole[1]))
    fewer = (x @ heads.matching.weight).reshape(3, 2, heads.count, heads.matched)
    found = np.einsum("qhd,khd->hqk", turned(less, fewer[:, 0]), turned(less, fewer[:, 1]))
    values = (x @ heads.moving.weight).reshape(3, heads.count, heads.moved)
    meant = np.einsum("hqk,khd->qhd", scores, whole[2]).reshape(3, -1) @ out.weight
    moved = np.einsum("hqk,khd->qhd", found, values).reshape(3, -1) @ heads.out.weight
    assert np.allclose(meant, moved)


def random_llama(rng, name="float32"):
    """A tiny Llama or Mistral: its config, and its tensors as numbers of a format."""
    kv_heads, group, size = (
        int(rng.integers(1, 3)),
        int(rng.integers(1, 3)),
        2 * int(rng.integers(1, 3)),
    )
    heads, layers, vocab = kv_heads * group, int(rng.integers(1, 3)), int(rng.integers(2, 5))
    width, inner = heads * int(rng.integers(1, 5)), int(rng.integers(1, 6))
    config = Config(
        layers,
        heads,
        width,
        inner,
        7,
        vocab,
        EPSILON,
        scales_scores=True,
        scales_by_layer=False,
        activation="silu",
        theta=float(rng.choice([1e2, 1e4])),
        kv_heads=kv_heads,
        head_dim=size,
        window=int(rng.integers(1, 6)) if rng.random() < 0.4 else None,
        begin=vocab - 1,
        is_tied=bool(rng.random() < 0.5),
    )
    shapes = {"embed_tokens.weight": (vocab, width), "norm.weight": (width,)}
    for i in range(layers):
        shapes |= {f"layers.{i}.{n}_layernorm.weight": (width,) for n in ("input", "post_attention")}
        shapes |= {
            f"layers.{i}.self_attn.q_proj.weight": (heads * size, width),
            f"layers.{i}.self_attn.k_proj.weight": (kv_heads * size, width),
            f"layers.{i}.self_attn.v_proj.weight": (kv_heads * size, width),
            f"layers.{i}.self_attn.o_proj.weight": (width, heads * size),
            f"layers.{i}.mlp.gate_proj.weight": (inner, width),
            f"layers.{i}.mlp.up_proj.weight": (inner, width),
            f"layers.{i}.mlp.down_proj.weight": (width, inner),
        }
    if not config.is_tied:
        shapes["lm_head.weight"] = (vocab, width)
    tensors = {key: rng.normal(size=shape) * rng.choice([0.5, 2]) for key, shape in shapes.items()}
    for key in [key for key in shapes if key.endswith(("q_proj.weight", "gate_proj.weight"))]:
        tensors[key][rng.random(len(tensors[key])) < rng.choice([0, 0.4, 1])] = 0
    if rng.random() < 0.5:
        tensors = {key: np.rint(each * 4) / 4 for key, each in tensors.items()}
    return config, {key: half(name, each).astype(np.float64) for key, each in tensors.items()}


def in_transformers(config, tensors, name, how):
    """The model of Hugging Face."""
    kind = transformers.MistralConfig if config.window else transformers.LlamaConfig
    make = transformers.MistralForCausalLM if config.window else transformers.LlamaForCausalLM
    same = kind(
        num_hidden_layers=config.n_layer,
        num_attention_heads=config.n_head,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_dim,
        hidden_size=config.n_embd,
        intermediate_size=config.n_inner,
        max_position_embeddings=config.n_positions,
        vocab_size=config.vocab_size,
        rms_norm_eps=config.epsilon,
        rope_parameters={"rope_theta": config.theta, "rope_type": "default"},
        tie_word_embeddings=config.is_tied,
        bos_token_id=config.begin,
        eos_token_id=None,
        attn_implementation=how,
        **({"sliding_window": config.window} if config.window else {}),
    )
    model = make(same)
    state = {
        (key if key == "lm_head.weight" else f"model.{key}"): torch.from_numpy(each)
        for key, each in tensors.items()
    }
    if config.is_tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    frequencies = model.model.rotary_emb.inv_freq.clone()  # `to` would round them too
    model.to(getattr(torch, name)).eval()
    model.model.rotary_emb.inv_freq = frequencies
    return model


def logits(model, config, ids):
    with torch.no_grad():
        return numbers(model(torch.tensor([[config.begin, *map(int, ids)]])).logits[0, -1])


@pytest.mark.parametrize("how", ["eager", "sdpa"])
@given(seeds, dtypes)
def test_a_whole_llama(how, rng, name):
    config, tensors = random_llama(rng, name)
    ids = rng.integers(0, config.vocab_size, size=int(rng.integers(1, 6)))
    found = logits(in_transformers(config, tensors, name, how), config, ids)
    assert_holds(found, Llama(config, tensors, REGIMES[name]).run(ids))
    if name != "float32":
        own = replace(REGIMES[name], attention=how)
        assert_holds(found, Llama(config, tensors, own).run(ids))


@given(seeds, dtypes, st.sampled_from(["eager", "sdpa"]))
def test_positions_of_a_llama_with_several_alternatives(rng, name, how):
    config, tensors = random_llama(rng, name)
    regime = IN_FLOAT32 if name == "float32" else replace(REGIMES[name], attention=how)
    entries = Entries(config.n_layer, [])
    runner = Runner(Llama(config, tensors, regime), np.arange(config.vocab_size - 1), entries)
    sources, texts = np.empty(0, dtype=np.int64), [()]
    for position in range(int(rng.integers(1, 4))):
        some = config.vocab_size - 1
        tokens = rng.permutation(some)[: rng.integers(1, min(some, 2) + 1)]
        ran = runner.run(tokens, position, np.tile(sources, (len(tokens), 1)))
        own = entries.decided(ran.numbers, tokens, position)
        sources = np.append(sources, entries.union(own.tolist(), None))
        texts = [(*text, token) for text in texts for token in tokens.tolist()]
    model = in_transformers(config, tensors, name, how)
    for text in texts:
        box = ran.logits[ran.kinds[tokens.tolist().index(text[-1])]]
        assert_holds(logits(model, config, text), box)
