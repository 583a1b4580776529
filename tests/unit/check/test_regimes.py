"""No step in bfloat16, float16 or TF32 leaves its bounds, emulated, in torch and in transformers."""

from __future__ import annotations

from dataclasses import replace

import float32_steps as steps
import numpy as np
import pytest
from float32_steps import F, boxes, point
from half_numbers import assert_holds, exactly, half, half_boxes, half_point, halves, numbers, to_half
from hypothesis import given
from hypothesis import strategies as st
from random_layers import (
    EPSILON,
    functional,
    gains,
    matrix,
    norms,
    random_model,
    run,
    scores_of,
    seeds,
    torch,
    widths,
)

from handcraft_check.arithmetic.regime import FLOAT32, IN_FLOAT32, REGIMES
from handcraft_check.arithmetic.rounding import (
    STRAIGHT,
    Bounded,
    added,
    as_factor,
    rounded,
    rounded_ends,
    rounding_of,
)
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_cases.cases import Entries, Runner
from handcraft_check.errors import CheckError
from handcraft_check.layers.blocks import matrix_in_use
from handcraft_check.layers.half import (
    for_each_value,
    half_attention,
    half_mlp,
    half_product,
    is_exact_sum,
    lowest_bit,
)
from handcraft_check.layers.hidden_units import gelu, mlp
from handcraft_check.layers.layer_norm import layer_norm
from handcraft_check.layers.matrix import Matrix
from handcraft_check.layers.model import Model

transformers = pytest.importorskip("transformers")
gelu_new = pytest.importorskip("transformers.activations").ACT2FN["gelu_new"]

TF32 = REGIMES["tf32"]


def cut(rng, x):
    """Numbers as a tensor core takes them: 11 digits, rounded or cut off."""
    bits = np.array(x, dtype=F).view(np.uint32)
    if rng.random() < 0.5:
        bits = bits + np.uint32(0x1000)
    return (bits & np.uint32(0xFFFFE000)).view(F)


@given(seeds, halves)
def test_the_nearest_number_of_a_format(rng, name):
    x = rng.normal(size=64) * 2.0 ** rng.integers(-30, 20, size=64)
    ties = half(name, x) * (1 + rng.choice([-1, 0, 1], size=64) * 2.0**-9)
    for each in (x.astype(F), ties.astype(F), x.astype(F) * F(1e-35), x.astype(F) * F(1e30)):
        found = REGIMES[name].steps.nearest(each.astype(np.float64))
        assert (found == half(name, each)).all()


@given(seeds)
def test_the_nearest_float32(rng):
    x = rng.normal(size=64) * 2.0 ** rng.integers(-160, 128, size=64)
    slow = replace(FLOAT32, name="another name").nearest(x)
    with np.errstate(over="ignore"):
        assert (slow == x.astype(F)).all()
    assert (FLOAT32.nearest(x) == slow).all()


def test_formats_have_the_numbers_of_torch():
    for name in ("bfloat16", "float16", "float32"):
        info, format = torch.finfo(getattr(torch, name)), REGIMES[name].steps
        assert (info.max, info.smallest_normal) == (format.largest, format.tiny)
        assert info.eps == 2.0 ** (1 - format.digits)


@given(seeds, halves)
def test_an_interval_is_rounded_at_its_ends(rng, name):
    format = REGIMES[name].steps
    low, high = np.sort(boxes(rng, 2, 16, most=20).center * 1.1, axis=0)
    ends = rounded_ends(low, high, format)
    for share in (0.0, 1.0, *rng.random(3)):
        x = (low + (high - low) * share).clip(low, high)
        for found in (format.nearest(x), half(name, x.astype(F))):
            for each in (found, np.where(np.abs(found) < format.tiny, 0.0, found)):  # flushed
                assert (ends[0] <= each).all()
                assert (each <= ends[1]).all()


@given(seeds, halves, widths)
def test_an_addition_is_rounded(rng, name, width):
    one, other = (half_boxes(rng, name, 3, width) for _ in range(2))
    bound = added(one, other, REGIMES[name].steps)
    first, second = (half_point(rng, name, each) for each in (one, other))
    assert_holds(numbers(torch.add(*to_half(name, first, second))), bound)
    once = REGIMES[name].steps.nearest(first.astype(np.float64) + second)
    assert_holds(once, bound)


def test_an_addition_of_what_is_known_is_known_between_two_numbers():
    one, other = (Bounded(np.array([x]), np.zeros(1)) for x in (256.0, 1.0))
    found = added(one, other, REGIMES["bfloat16"].steps)
    assert (found.center, found.error) == (256, 0)


@given(seeds)
def test_a_factor_is_cut_or_rounded(rng):
    box = boxes(rng, 3, 16)
    found, x = as_factor(box, TF32), point(rng, box)
    assert_holds(cut(rng, x), found)
    apart = np.abs(cut(rng, x).astype(np.float64) - x)
    assert (apart <= rounding_of(box.center - box.error, box.center + box.error, TF32)).all()
    is_one = half("float16", box.center / 64) * 64 == box.center
    assert not as_factor(Bounded(box.center, np.zeros_like(box.error)), TF32).error[is_one].any()


@given(seeds, halves)
def test_how_far_a_number_moves(rng, name):
    low, high = np.sort(rng.random((2, 32)) * 2.0 ** rng.integers(-20, 1, size=(2, 32)), axis=0)
    low = np.where(rng.random(32) < 0.3, high, low)
    most = rounding_of(low, high, REGIMES[name])
    for share in (0.0, 1.0, *rng.random(3)):
        x = (low + (high - low) * share).clip(low, high)
        assert (np.abs(REGIMES[name].steps.nearest(x) - x) <= most).all()
        assert (np.where(x < REGIMES[name].steps.tiny, x, 0) <= most).all()  # flushed


@given(seeds, halves, widths, st.booleans())
def test_layer_norm_and_a_product(rng, name, width, wide):
    regime = REGIMES[name]
    x = half_boxes(rng, name, 3, width, wide=wide)
    gain, bias = (half(name, each).astype(np.float64) for each in gains(rng, width))
    normed = layer_norm(Stream.of(x), gain, bias, EPSILON).in_use(regime, *np.zeros((2, width)))
    true = half_point(rng, name, x)
    weights = matrix(rng, width, 4)
    weights = replace(weights, weight=half(name, weights.weight), bias=half(name, weights.bias))
    found = half_product(Bounded(normed.center, normed.error), weights, regime.steps)
    ways = [half(name, each) for each in norms(rng, true, gain, bias)]
    ways.append(
        functional.layer_norm(*to_half(name, true), (width,), *to_half(name, gain, bias), EPSILON)
        .float()
        .numpy()
    )
    for each in ways:
        assert_holds(each, Bounded(normed.center, normed.error))
        product = half(name, steps.product(rng, each, weights.weight, weights.bias))
        assert_holds(product, found)
        add, read, weight = to_half(name, weights.bias, each, weights.weight)
        assert_holds(numbers(torch.addmm(add, read, weight)), found)


@given(seeds, halves, widths, st.integers(1, 24))
def test_an_mlp(rng, name, width, units):
    regime = REGIMES[name]
    x = half_boxes(rng, name, 3, width, wide=bool(rng.random() < 0.5))
    gain, bias = (half(name, each).astype(np.float64) for each in gains(rng, width))
    up, down = (matrix(rng, *shape) for shape in ((width, units), (units, width)))
    if rng.random() < 0.7:  # beyond the curved part of GELU
        up.bias[:] = rng.choice([-1, 1], size=units) * rng.choice([16, 256, 4096])
    up, down = (
        replace(
            each,
            weight=half(name, each.weight).astype(np.float64),
            bias=half(name, each.bias).astype(np.float64),
        )
        for each in (up, down)
    )
    normed = layer_norm(Stream.of(x), gain, bias, EPSILON).in_use(regime, *np.zeros((2, width)))
    found = half_mlp(Bounded(normed.center, normed.error), up, down, regime)
    (read,) = to_half(name, half_point(rng, name, Bounded(normed.center, normed.error)))
    pre = torch.addmm(*to_half(name, up.bias), read, *to_half(name, up.weight))
    for hidden in (gelu_new(pre), functional.gelu(pre, approximate="tanh")):
        written = torch.addmm(*to_half(name, down.bias), hidden, *to_half(name, down.weight))
        assert_holds(numbers(written), found)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_every_number_through_the_steps_of_gelu(name):
    """gelu_new in transformers, of all numbers of the format up to 100."""
    format = REGIMES[name].steps
    bits = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(getattr(torch, name))
    x = bits[bits.float().abs() <= 100]
    exact = gelu(numbers(x))
    for found in (gelu_new(x), functional.gelu(x, approximate="tanh")):
        apart = np.abs(numbers(found) - exact)
        assert (apart <= 8 * format.unit * np.abs(numbers(x)) + 4 * format.tiny).all()
        is_straight = np.abs(numbers(x)) >= STRAIGHT
        assert (numbers(found) == np.maximum(numbers(x), 0))[is_straight].all()


def flash(rng, name, scores, values):
    """Flash attention: weights are rounded before the division, and rescaled for each block of keys."""
    top, total, out = F(-np.inf), F(0), np.zeros(values.shape[1], dtype=F)
    places = np.array_split(np.arange(len(scores)), int(rng.integers(1, len(scores) + 1)))
    for block in rng.permutation(len(places)):
        some = scores[places[block]]
        new = max(top, some.max())
        powers, again = np.exp(some - new), np.exp(top - new)
        total = total * again + steps.summed(rng, powers)
        parts = half(name, powers)[None]
        out = (
            out * again + steps.product(rng, parts, values[places[block]], np.zeros(values.shape[1]))[0]
        )
        top = new
    return half(name, out / total)


@given(seeds, halves, st.integers(1, 20), st.integers(1, 5))
def test_attention(rng, name, sources, width):
    regime = REGIMES[name]
    scores, values = scores_of(rng, 1, sources), half_boxes(rng, name, sources, width)
    if rng.random() < 0.5:  # scores that are equal
        scores = Bounded(np.full_like(scores.center, scores.center[0, 0]), np.zeros_like(scores.error))
    true, read = point(rng, scores), half_point(rng, name, values)
    (rows,) = to_half(name, read)
    eager = half(name, steps.softmax(rng, true))
    ways = {
        "sdpa": [flash(rng, name, true[0], read)],
        "eager": [
            half(name, steps.product(rng, eager, read, np.zeros(width)))[0],
            numbers(torch.softmax(torch.from_numpy(true), dim=1).to(rows.dtype) @ rows)[0],
        ],
    }
    box = Bounded(values.center[None], values.error[None])
    for how, outputs in ways.items():
        for attention in ("", how):
            _, found = half_attention(scores, box, replace(regime, attention=attention))
            for each in outputs:
                assert_holds(each, found[0])


def test_scores_that_are_all_minus_infinity_have_no_weights():
    regime = REGIMES["float16"]
    lowest = -2 * regime.steps.largest
    scores = np.array([[lowest, lowest], [lowest, -60000.0], [3.0, lowest]])
    values = np.tile(np.array([[5.0], [7.0]]), (3, 1, 1))
    _, found = half_attention(exactly(scores), exactly(values), regime)
    assert np.isnan(found.error[0]).all()
    assert (found.center[1:, 0] == [7, 5]).all()
    assert not found.error[1:].any()


@given(seeds, widths)
def test_sums_that_are_exact_in_any_order(rng, width):
    x = exactly(np.rint(boxes(rng, 3, width, most=8).center * 8) / 8)
    weights = matrix(rng, width, 4)
    weights = Matrix(np.rint(weights.weight * 4) / 4, np.rint(weights.bias * 2) / 2)
    exact = x.center @ weights.weight + weights.bias
    found = steps.product(rng, x.center, weights.weight, weights.bias)
    is_exact = is_exact_sum(x, weights)
    assert (found == exact)[is_exact].all()
    assert not is_exact_sum(Bounded(x.center, np.ones_like(x.center)), weights)[
        :, weights.weight.any(axis=0)
    ].any()


def test_a_sum_is_exact_up_to_24_digits():
    weights = Matrix(np.array([[1.0], [1.0]]), np.zeros(1))
    for x, is_exact in (([2.0**23, 1.0], True), ([2.0**24, 1.0], False), ([2.0**24, 0.0], True)):
        assert is_exact_sum(exactly(np.array([x])), weights).item() is is_exact


def test_the_lowest_bit():
    x = np.array([1.0, 12.0, 0.375, -80.0, 2.0**-140, 1 + 2.0**-52])
    assert lowest_bit(x).tolist() == [0, 2, -3, 4, -140, -52]
    assert lowest_bit(np.zeros(1)) > 1000


def half_model(rng, name):
    """A tiny GPT-2 with weights of a format; often they are quarters, so that much is exact."""
    config, tensors = random_model(rng)
    config = replace(config, scales_by_layer=False)
    if rng.random() < 0.5:
        tensors = {key: np.rint(each * 4) / 4 for key, each in tensors.items()}
    return config, {key: half(name, each).astype(np.float64) for key, each in tensors.items()}


def in_transformers(config, tensors, name, how):
    """The model of Hugging Face in a dtype, with its eager attention or with sdpa."""
    same = transformers.GPT2Config(
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        n_inner=config.n_inner,
        n_positions=config.n_positions,
        vocab_size=config.vocab_size,
        scale_attn_weights=config.scales_scores,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation=how,
    )
    model = transformers.GPT2LMHeadModel(same)
    state = {f"transformer.{key}": torch.from_numpy(each) for key, each in tensors.items()}
    state["lm_head.weight"] = state["transformer.wte.weight"]
    model.load_state_dict(state)
    return model.to(getattr(torch, name)).eval()


def logits(model, ids):
    with torch.no_grad():
        return numbers(model(torch.from_numpy(np.array(ids)[None])).logits[0, -1])


@pytest.mark.parametrize("how", ["eager", "sdpa"])
@given(seeds, halves)
def test_a_whole_model(how, rng, name):
    config, tensors = half_model(rng, name)
    ids = rng.integers(0, config.vocab_size, size=int(rng.integers(1, 7)))
    found = logits(in_transformers(config, tensors, name, how), ids)
    assert_holds(found, Model(config, tensors, REGIMES[name]).run(ids))
    own = replace(REGIMES[name], attention=how)
    assert_holds(found, Model(config, tensors, own).run(ids))


@given(seeds, halves, st.sampled_from(["eager", "sdpa"]))
def test_positions_with_several_alternatives(rng, name, how):
    config, tensors = half_model(rng, name)
    entries, regime = Entries(config.n_layer, []), replace(REGIMES[name], attention=how)
    runner = Runner(Model(config, tensors, regime), np.arange(config.vocab_size), entries)
    sources, texts = np.empty(0, dtype=np.int64), [()]
    for position in range(int(rng.integers(1, 4))):
        tokens = rng.permutation(config.vocab_size)[: rng.integers(1, min(config.vocab_size, 2) + 1)]
        rows = np.tile(sources, (len(tokens), 1))
        ran = runner.run(tokens, position, rows)
        own = entries.decided(ran.numbers, tokens, position)
        sources = np.append(sources, entries.union(own.tolist(), None))
        texts = [(*text, token) for text in texts for token in tokens.tolist()]
    model = in_transformers(config, tensors, name, how)
    for text in texts:
        assert_holds(logits(model, text), ran.logits[ran.kinds[tokens.tolist().index(text[-1])]])


@given(seeds, halves, st.integers(1, 8))
def test_each_of_two_values_is_followed(rng, name, width):
    format = REGIMES[name].steps
    low = half_boxes(rng, name, 5, width).center
    high = np.where(rng.random(low.shape) < 0.6, format.inward(low * (1 + 1e-9), low * 2)[0], low)
    high = np.where(low > 0, high, low)
    x = Bounded((low + high) / 2, (high - low) / 2)
    weight = rng.choice([-1.0, 0, 1], size=(width, 3))

    def compute(some):
        return Bounded(some.center @ weight, some.error @ np.abs(weight))

    found, plain = for_each_value(x, format, np.ones(width), compute), compute(x)
    for _ in range(5):
        assert_holds(np.where(rng.random(low.shape) < 0.5, low, high) @ weight, plus_float64(found))
    assert (found.error <= plus_float64(plain).error).all()


def plus_float64(box):
    """What float64 loses of sums of a few numbers is no matter here."""
    return Bounded(box.center, box.error + 1e-13 * (1 + np.abs(box.center)))


def test_who_reads_a_number_twice_reads_the_same():
    x = Bounded(np.array([[1 + 2.0**-8, 1.0]]), np.array([[2.0**-8, 0.0]]))

    def difference(some):
        apart = np.abs(some.error[:, :1]) * 2
        return Bounded(some.center[:, :1] - some.center[:, :1], apart)

    assert for_each_value(x, REGIMES["bfloat16"].steps, np.ones(2), difference).error.item() == 0


@given(seeds)
def test_a_whole_model_in_tf32(rng):
    config, tensors = random_model(rng)
    ids = rng.integers(0, config.vocab_size, size=int(rng.integers(1, 7)))
    product = steps.product

    def with_cut_factors(rng, x, weight, bias):
        return product(rng, cut(rng, x), cut(rng, weight), bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "product", with_cut_factors)
        logits = run(rng, config, tensors, ids, 0)
    assert_holds(logits, Model(config, tensors, TF32).run(ids))


def moved(rng, radius, tensors):
    """All weights by the radius, up or down, or by a part of it."""

    def each(tensor):
        share = rng.choice([-1, 1], size=tensor.shape) * rng.choice([1, rng.random()])
        new = (tensor * (1 + radius * share)).astype(F).astype(np.float64)
        return np.where(np.abs(new - tensor) <= radius * np.abs(tensor), new, tensor)

    return {key: each(tensor) for key, tensor in tensors.items()}


@pytest.mark.parametrize("radius", [2.0**-20, 2.0**-12, 2.0**-6])
@given(seeds)
def test_a_whole_model_with_weights_that_are_off(radius, rng):
    config, tensors = random_model(rng)
    ids = rng.integers(0, config.vocab_size, size=int(rng.integers(1, 7)))
    found = Model(config, tensors, replace(IN_FLOAT32, radius=radius)).run(ids)
    assert_holds(run(rng, config, moved(rng, radius, tensors), ids, 0), found)


@pytest.mark.parametrize("radius", [2.0**-12, 2.0**-8])
@given(seeds, halves)
def test_a_whole_model_with_weights_that_are_off_before_they_are_rounded(radius, rng, name):
    config, tensors = half_model(rng, name)
    ids = rng.integers(0, config.vocab_size, size=int(rng.integers(1, 7)))
    found = Model(config, tensors, replace(REGIMES[name], radius=radius)).run(ids)
    model = in_transformers(config, moved(rng, radius, tensors), name, "eager")
    assert_holds(logits(model, ids), found)


def test_weights_too_large_for_a_regime_are_refused():
    config, tensors = random_model(np.random.default_rng(0))
    tensors["wpe.weight"][0, 0] = 70000
    Model(config, tensors, REGIMES["bfloat16"])
    with pytest.raises(CheckError, match=r"wpe.weight has a number .* too large for float16"):
        Model(config, tensors, REGIMES["float16"])


@given(seeds, widths)
def test_a_matrix_whose_factors_are_cut(rng, width):
    x, weights = boxes(rng, 3, width), matrix(rng, width, 3)
    used = matrix_in_use(exactly(weights.weight), exactly(weights.bias), TF32)
    read = as_factor(x, TF32)
    center = read.center @ weights.weight + weights.bias
    error = read.error @ used.magnitude + used.product_error(np.abs(read.center) + read.error)
    true = cut(rng, point(rng, x))
    found = steps.product(rng, true, cut(rng, weights.weight), weights.bias)
    assert_holds(found, Bounded(center, error))


@given(seeds, widths, st.integers(1, 24))
def test_an_mlp_whose_factors_are_cut(rng, width, units):
    x, (gain, bias) = boxes(rng, 3, width, wide=bool(rng.random() < 0.5)), gains(rng, width)
    up, down = matrix(rng, width, units), matrix(rng, units, width)
    if rng.random() < 0.7:
        up.bias[:] = rng.choice([-1, 1], size=units) * rng.choice([16, 256, 4096])
    normed = layer_norm(Stream.of(x), gain, bias, EPSILON).in_use(TF32, *np.zeros((2, width)))
    used = (matrix_in_use(exactly(each.weight), exactly(each.bias), TF32) for each in (up, down))
    found = mlp(normed, *used, TF32)
    true = point(rng, x)
    for each in norms(rng, true, gain, bias):
        pre = steps.product(rng, cut(rng, each), cut(rng, up.weight), up.bias)
        out = steps.product(rng, cut(rng, steps.gelu(pre)), cut(rng, down.weight), down.bias)
        assert_holds(true.astype(np.float64) + out, found)


def test_what_overflows_a_format_is_known_no_more():
    format = REGIMES["float16"].steps
    found = rounded(np.array([65519.0, 65521.0]), np.array([65519.0, 65521.0]), format)
    assert found.center[0] == 65504
    assert np.isnan(found.error[1])


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_is_rounded_twice_may_be_rounded_to_the_other_side(sign):
    x = sign * np.array([1 + 2.0**-8 + 2.0**-40])  # float32 rounds it to the middle of 1 and 1 + 2^-7
    low, high = rounded_ends(x, x, REGIMES["bfloat16"].steps)
    assert sorted(np.abs([low, high]).ravel().tolist()) == [1, 1 + 2.0**-7]


@given(seeds, halves, st.integers(2, 12))
def test_weights_that_are_rounded_before_the_division(rng, name, sources):
    scores = rng.normal(size=(10, sources)).astype(F)
    values = half(name, rng.choice([-1, 0, 1, 3], size=(sources, 2))).astype(np.float64)
    box = exactly(np.broadcast_to(values, (10, sources, 2)))
    regime = replace(REGIMES[name], attention="sdpa")
    _, found = half_attention(exactly(scores.astype(np.float64)), box, regime)
    for i, row in enumerate(scores):
        assert_holds(flash(rng, name, row, values), found[i])
