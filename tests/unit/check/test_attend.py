"""What a head reads in many cases at once contains what it reads in each."""

from __future__ import annotations

import numpy as np
from float32_steps import assert_inside, boxes
from hypothesis import given
from hypothesis import strategies as st

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_cases.attend import Sources, attend
from handcraft_check.folder.config import Config
from handcraft_check.layers.model import Model
from handcraft_check.layers.scores import COMMON

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def one_head(size):
    """A model of one head, of which only sizes matter."""
    config = Config(1, 1, size, 4, 1, 1, 1e-5, scales_scores=True, scales_by_layer=False)
    square = {
        "h.0.attn.c_proj.weight": np.eye(size),
        "h.0.attn.c_attn.weight": np.ones((size, 3 * size)),
    }
    shapes = {f"h.0.{norm}.{part}": size for norm in ("ln_1", "ln_2") for part in ("weight", "bias")}
    shapes |= {"wte.weight": (1, size), "wpe.weight": (1, size), "ln_f.weight": size, "ln_f.bias": size}
    shapes |= {"h.0.attn.c_attn.bias": 3 * size, "h.0.attn.c_proj.bias": size}
    shapes |= {"h.0.mlp.c_fc.weight": (size, 4), "h.0.mlp.c_fc.bias": 4}
    shapes |= {"h.0.mlp.c_proj.weight": (4, size), "h.0.mlp.c_proj.bias": size}
    return Model(config, {name: np.zeros(shape) for name, shape in shapes.items()} | square)


def matched(x):
    """Queries or keys whose errors have nothing in common: [row, head, dimension + 2]."""
    return Bounded(*(np.pad(each, ((0, 0), (0, 0), (0, COMMON))) for each in (x.center, x.error)))


@given(seeds, st.integers(1, 3), st.integers(1, 6))
def test_of_many_cases(rng, size, sources):
    """Sharp heads, of which few sources matter, and flat ones."""
    rows, model = 40, one_head(size)
    sharp = rng.choice([1, 2.0**8])
    places = boxes(rng, sources, size, most=1).center * sharp
    which = rng.integers(0, 3, size=(rows, sources))
    which[:, rng.random(sources) < 0.3] = 1
    number = which + 3 * np.arange(sources)  # a key tells mostly where it is, and a little what it is
    center = np.repeat(places, 3, axis=0) + boxes(rng, 3 * sources, size, most=-2).center
    error = boxes(rng, 3 * sources, size, wide=False).error
    keys = matched(Bounded(center[:, None], error[:, None]))
    values = boxes(rng, 3 * sources, size, most=3, wide=False)
    values = Bounded(values.center[:, None], values.error[:, None])
    asked = boxes(rng, 4, size, most=2).center[:, None]
    queries = matched(Bounded(asked, np.zeros_like(asked)))
    kinds = rng.integers(0, 4, size=rows)
    found = attend(model, 0, 0, queries, kinds, Sources(keys, values, number, number))
    for row in range(rows):
        scores = model.pair_scores(0, queries[kinds[[row]]], keys[number[row]], head=slice(None))
        seen = Bounded(scores.center.T, scores.error.T)
        read = values[number[row], 0]
        _, alone = model.attention(seen, Bounded(read.center[None], read.error[None]))
        kind = found.kinds[row]
        together = found.out[kind]
        # both contain what is computed, so that they meet
        apart = np.abs(alone.center[0] - together.center)
        assert (apart <= alone.error[0] + together.error).all()
        weights = np.exp(scores.center[:, 0] - scores.center.max())
        exact = weights / weights.sum() @ read.center
        assert_inside(exact, together)


def test_cases_that_differ_where_nobody_looks_are_computed_once():
    model = one_head(1)
    keys = matched(Bounded(np.array([[[0.0]], [[300.0]], [[0.0]]]), np.zeros((3, 1, 1))))
    values = Bounded(np.arange(3.0)[:, None, None], np.zeros((3, 1, 1)))
    queries = matched(Bounded(np.ones((1, 1, 1)), np.zeros((1, 1, 1))))
    number = np.array([[0, 1], [2, 1]] * 4)
    kinds = np.zeros(8, dtype=np.int64)
    found = attend(model, 0, 0, queries, kinds, Sources(keys, values, number, number))
    assert len(found.out.center) == 1
    keys.center[1, 0, 0] = 1.0  # now it looks everywhere
    found = attend(model, 0, 0, queries, kinds, Sources(keys, values, number, number))
    assert len(found.out.center) == 2
