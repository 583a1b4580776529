"""Bounds in whole numbers of 2^-512 agree with those in float64, which leave room for rounding."""

from __future__ import annotations

import importlib
import json
import math
import runpy
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from random import Random
from unittest.mock import patch

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sweeps import DEEP

from handcraft import Program, compile_program, predict
from handcraft_check.__main__ import main
from handcraft_check.arithmetic.exact import BITS, Exact, NotANumberError, exactly
from handcraft_check.arithmetic.kinds import codes, each, floats, key, power_above
from handcraft_check.arithmetic.regime import FLOAT32
from handcraft_check.arithmetic.rounding import Bounded, added, mean_error, product_error, rounded
from handcraft_check.arithmetic.stream import Along, Stream
from handcraft_check.by_windows.windows import UnfitError
from handcraft_check.claim import EXACTLY, read_claim
from handcraft_check.errors import CheckError
from handcraft_check.layers.attention import head_output, softmax
from handcraft_check.layers.hidden_units import gelu_range
from handcraft_check.layers.layer_norm import layer_norm
from handcraft_check.layers.scores import scaled
from handcraft_check.prove import prove

SMALL = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "small_programs.py"))
NAMES = [*SMALL["programs"]()]
QUICK = ("latest", "count", "mean", "aab", "patterns", "parity", "sum", "window")

numbers = st.floats(-1e9, 1e9).filter(lambda x: not x or abs(x) > 2.0**-400)
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
few = settings(max_examples=25, deadline=None)


def units(fraction):
    """How many units of 2^-BITS a number is."""
    return fraction * 2**BITS


@given(numbers, numbers)
def test_sums_are_exact_and_the_rest_is_off_by_a_unit(one, other):
    a, b = Exact.of(one), Exact.of(other)
    assert (a + b).fraction == Fraction(one) + Fraction(other)
    assert (a - other).fraction == (one - b).fraction == Fraction(one) - Fraction(other)
    assert abs(units(Fraction(one) * Fraction(other)) - (a * b).units) <= 1
    if other:
        assert abs(units(Fraction(one) / Fraction(other)) - (a / b).units) <= 1
    assert abs(a.units) == abs(a).units == (a if one >= 0 else -a).units
    assert [a < b, a <= b, a > b, a >= b, a == b] == [
        *(one < other, one <= other, one > other, one >= other, one == other)
    ]


@given(st.floats(-300, 300).filter(lambda x: not x or abs(x) > 2.0**-400))
def test_roots_and_exponentials(x):
    with mpmath.workprec(BITS + 900):
        found, wanted = Exact.of(x).exp().units, mpmath.exp(mpmath.mpf(x)) * mpmath.mpf(2) ** BITS
        assert abs(found - wanted) <= 2 + wanted * mpmath.mpf(2) ** -500
        wanted = mpmath.tanh(mpmath.mpf(x)) * mpmath.mpf(2) ** BITS
        assert abs(Exact.of(x).tanh().units - wanted) <= 2**12
        wanted = mpmath.sqrt(mpmath.mpf(abs(x))) * mpmath.mpf(2) ** BITS
        assert abs(abs(Exact.of(x)).sqrt().units - wanted) <= 1


def test_what_is_infinite_stays_so_and_what_is_no_number_is_an_error():
    one = Exact.of(1)
    assert [one + math.inf, one - math.inf, math.inf - one, -math.inf * one] == [
        *(math.inf, -math.inf, math.inf, -math.inf)
    ]
    assert (one / math.inf, one / 0) == (0, math.inf)
    assert one < math.inf
    assert not one >= math.inf
    assert one > -math.inf
    for what in (
        lambda: one + math.nan,
        lambda: one * math.nan,
        lambda: one < math.nan,
        lambda: Exact.of(0) * math.inf,
        lambda: Exact.of(0) / 0,
        lambda: Exact.of(-1).sqrt(),
    ):
        with pytest.raises(NotANumberError):
            what()
    with pytest.raises(TypeError):
        float(one)  # an array of floats would take it, rounded


@given(seeds)
def test_float32_rounds_them_as_it_rounds_float64(rng):
    x = rng.standard_normal(40) * 2.0 ** rng.integers(-150, 129, 40)
    with np.errstate(over="ignore", invalid="ignore"):
        half = np.float64(np.float32(x)) + np.spacing(np.float32(x)).astype(float) / 2
    for some in (x, half[np.isfinite(half)]):
        assert (floats(FLOAT32.nearest(exactly(some))) == FLOAT32.nearest(some)).all()


@given(seeds)
def test_arrays_of_both_kinds_are_told_apart_alike(rng):
    x = rng.choice([0.0, 1.0, 0.1, -3.0, 2.0**-30], 12)
    exact = exactly(x)
    same = codes(exact)[:, None] == codes(exact)[None]
    assert (same == (x[:, None] == x[None])).all()
    assert key(exact) == key(exactly(x.copy()))
    assert key(exact) != key(exactly(x + 1))
    positive = np.abs(x) + 2.0**-9
    assert (floats(power_above(exactly(positive))) == power_above(positive)).all()


NONE = 2.0**-400  # times infinity is infinite, as it is without it
SLACKS = {
    "UNIT": 2.0**-24,
    "TINY": 2.0**-126,
    "FLOAT64_SLACK": NONE,
    "PRODUCT_SLACK": NONE,
    "SLACK": NONE,
}
MODULES = (
    "arithmetic.rounding",
    "layers.layer_norm",
    "layers.attention",
    "layers.hidden_units",
    "arithmetic.leading",
    "arithmetic.stream",
    "layers.scores",
    "layers.blocks",
    "layers.model",
)


@contextmanager
def without_slack():
    """Within it, bounds leave no room for what float64 rounds."""
    with ExitStack() as stack:
        for name in MODULES:
            module = importlib.import_module(f"handcraft_check.{name}")
            for constant, value in SLACKS.items():
                if hasattr(module, constant):
                    stack.enter_context(patch.object(module, constant, value))
        yield


def exact(x):
    return Bounded(exactly(x.center), exactly(x.error))


def assert_covers(found, pure):
    """The bounds in float64 contain the exact ones that leave no room for float64."""
    beyond = each(found.error, Exact.of) - each(pure.error, Exact.of)
    off = np.abs(each(found.center, Exact.of) - each(pure.center, Exact.of))
    assert (floats(beyond - off) >= 0).all()


def drawn(rng, *shape):
    """Numbers of many sizes, some of them exactly known, some 0."""
    center = rng.standard_normal(shape) * 2.0 ** rng.integers(-12, 9, shape)
    center = np.where(rng.random(shape) < 0.2, 0.0, np.float64(np.float32(center)))
    error = np.abs(rng.standard_normal(shape)) * 2.0 ** rng.integers(-30, -8, shape)
    return Bounded(center, np.where(rng.random(shape) < 0.3, 0.0, error))


@few
@given(seeds, st.integers(1, 12))
def test_sums_and_means_leave_room(rng, width):
    x, weight = drawn(rng, 3, width), drawn(rng, width, 2).center
    size, terms = np.abs(x.center) @ np.abs(weight), (weight != 0).sum(axis=0).astype(float)
    total = np.abs(x.center @ weight)
    found = Bounded(x.center @ weight, product_error(size, terms, total))
    positive, negative = (np.maximum(s * x.center, 0).sum(axis=1) for s in (1, -1))
    mean = Bounded(x.center.mean(axis=1), mean_error(positive, negative, width))
    with without_slack():
        c, w = exactly(x.center), exactly(weight)
        assert_covers(found, Bounded(c @ w, product_error(np.abs(c) @ np.abs(w), terms, np.abs(c @ w))))
        ends = (np.maximum(s * c, 0).sum(axis=1) for s in (1, -1))
        assert_covers(mean, Bounded(c.mean(axis=1), mean_error(*ends, width)))


@few
@given(seeds)
def test_additions_and_roundings_leave_room(rng):
    one, other = drawn(rng, 20), drawn(rng, 20)
    found, low, high = added(one, other), one.center - one.error, one.center + one.error
    wide = rounded(low, high)
    with without_slack():
        assert_covers(found, added(exact(one), exact(other)))
        assert_covers(wide, rounded(exactly(low), exactly(high)))


@few
@given(seeds, st.integers(2, 12))
def test_layer_norm_leaves_room(rng, width):
    x, gain, bias = drawn(rng, 3, width), drawn(rng, width).center, drawn(rng, width).center
    weight = drawn(rng, width, 3).center
    directions, radii = drawn(rng, 2, width).center, np.abs(drawn(rng, 3, 2).error)
    both = x.error + radii @ np.abs(directions)
    stream = Stream(x.center, both, x.error, radii, Along(directions))
    normed = layer_norm(stream, gain, bias, 1e-5)
    found = Bounded(normed.center @ weight, normed.spread(weight))
    with without_slack():
        along = Along(exactly(directions))
        parts = map(exactly, (x.center, both, x.error, radii))
        pure = layer_norm(Stream(*parts, along), exactly(gain), exactly(bias), 1e-5)
        w = exactly(weight)
        assert_covers(found, Bounded(pure.center @ w, pure.spread(w)))


@few
@given(seeds, st.integers(1, 8))
def test_attention_leaves_room(rng, sources):
    scores, values = drawn(rng, 3, sources), drawn(rng, 3, sources, 2)
    dot = scaled(scores, np.abs(scores.center) + scores.error, 0.25)
    weights = softmax(scores)
    out = head_output(weights, values)
    with without_slack():
        wide = exact(scores)
        assert_covers(dot, scaled(wide, np.abs(wide.center) + wide.error, 0.25))
        pure = softmax(wide)
        assert_covers(Bounded(weights.center, weights.error), Bounded(pure.center, pure.error))
        assert_covers(out, head_output(pure, exact(values)))


@few
@given(seeds)
def test_gelu_is_off_by_less_than_is_added_for_it(rng):
    """`mlp` adds 16 units of the largest input to what it finds."""
    x = drawn(rng, 20)
    low, high = x.center - x.error, x.center + x.error
    found = gelu_range(low, high)
    room = 2.0**-24 * np.maximum(np.abs(low), np.abs(high)) + 2.0**-126
    assert_covers(
        Bounded(found.center, found.error + 2.0**-20 * 16 * room),
        gelu_range(exactly(low), exactly(high)),
    )


def by_cases(folder, **options):
    """Prove a folder by cases, as exact bounds are."""

    def unfit(*_, **__):
        raise UnfitError("not asked for")

    with patch("handcraft_check.attempts.prove_windows", unfit):
        return prove(folder, **options)


@pytest.mark.parametrize("name", NAMES if DEEP else QUICK)
def test_the_verdicts_agree(name, tmp_path):
    folder = compile_program(SMALL["programs"]()[name]).save(tmp_path / name)
    found, pure = by_cases(folder), prove(folder, exact=True)
    assert (found.word, found.cases, found.reason) == (pure.word, pure.cases, pure.reason)
    assert found.margin == pytest.approx(pure.margin, rel=1e-12)
    assert pure.arithmetic == found.arithmetic + EXACTLY
    with without_slack():
        assert prove(folder, exact=True).margin >= found.margin - 1e-9 * abs(found.margin)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return compile_program(SMALL["programs"]()["aab"]).save(tmp_path_factory.mktemp("exact") / "aab")


def test_both_run_one_text_alike(folder):
    random, claims = Random(0), [read_claim(folder, exact=flag) for flag in (False, True)]
    for _ in range(3):
        ids = claims[0].token_ids[[random.randrange(2) for _ in range(random.randint(1, 5))]]
        one, other = (claim.model.run(ids) for claim in claims)
        assert other.center.dtype == object
        for part in ("center", "error"):
            assert np.allclose(getattr(one, part), floats(getattr(other, part)), 1e-9, 1e-12)


@pytest.mark.parametrize("name", ["h.0.ln_1.weight", "h.0.attn.c_attn.bias", "wte.weight"])
def test_what_overflows_is_not_proved(name, folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = {key: tensor.copy() for key, tensor in load_file(tmp_path / "model.safetensors").items()}
    tensors[f"transformer.{name}"][:] = 3e38
    save_file(tensors, tmp_path / "model.safetensors")
    found = prove(tmp_path, rehash=True, exact=True)
    assert (found.word, found.reason) == ("unproved", "a number may be infinite, or none")
    assert prove(tmp_path, rehash=True).word == "unproved"


@pytest.mark.parametrize("options", [{"regime": "bfloat16"}, {"regime": "tf32"}, {"radius": 2.0**-9}])
def test_other_arithmetics_are_refused(folder, options):
    with pytest.raises(CheckError, match="exact bounds are computed of float32 only") as caught:
        prove(folder, exact=True, **options)
    assert caught.value.fix == "ask for --regime float32, or leave out --exact"


def test_probabilities_are_refused(tmp_path):
    rules = [predict({"a": 0.25, "b": 0.75}).after("a"), predict("a").otherwise()]
    folder = compile_program(Program("ab", 3, rules)).save(tmp_path / "shares")
    assert prove(folder).word == "proved"
    with pytest.raises(CheckError, match="exact bounds of probabilities are not computed"):
        prove(folder, exact=True)


def test_the_command_line_asks_for_exact_bounds(folder, capsys):
    assert main([str(folder), "--exact", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arithmetic"].endswith(EXACTLY)
    assert main([str(folder), "--exact", "--regime", "bfloat16"]) == 2
    assert main([str(folder), "--exact", "--regime", "float32"]) == 0
