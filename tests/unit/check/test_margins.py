"""No logit in float32 is nearer to the right one than the margin that is found for it."""

from __future__ import annotations

import float32_steps as steps
import numpy as np
import pytest
from drawn_sums import EPSILON, drawn, drawn_with_spans, in_float32, seeds
from float32_steps import F, boxes
from hypothesis import assume, given
from hypothesis import strategies as st

from handcraft_check.arithmetic.regime import FLOAT32
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows import margins
from handcraft_check.by_windows.margins import margins_of_logits, margins_of_sums
from handcraft_check.by_windows.one_by_one import OneByOne
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.rms_norm_of_sums import rms_norm_of_sums
from handcraft_check.by_windows.sums import Sums, layer_norm_of_sums, sums_not_normed
from handcraft_check.layers.matrix import Matrix


@given(seeds, st.integers(2, 8), st.booleans(), st.sampled_from([0, 2, 32]))
def test_the_margin_of_every_alternative(rng, width, with_spans, few):
    if with_spans:
        sums, each, rows = drawn_with_spans(rng, width)
    else:
        sums, each = drawn(rng, width)
        rows = in_float32(rng, sums, each)
    gain, bias = (boxes(rng, 1, width, most=2).center[0] for _ in range(2))
    size = int(rng.integers(2, 9))
    matrix = Matrix(boxes(rng, width, size, most=3).center, boxes(rng, 1, size).center[0])
    if rng.random() < 0.5:  # one logit far above all others
        matrix.bias[rng.integers(size)] = F(matrix.bias.max() + 2.0 ** rng.integers(12))
    count = int(rng.integers(1, 12))
    has_norm = rng.random() < 0.5
    normed = layer_norm_of_sums(sums, gain, bias, EPSILON) if has_norm else sums_not_normed(sums)
    x = normed.rows(np.zeros(count, dtype=np.int64))
    token_ids = rng.permutation(size)
    answers = rng.choice([-1, int(rng.integers(size)), *range(size)], size=count)
    run = steps.layer_norm(rng, rows, gain, bias, EPSILON) if has_norm else rows
    run = steps.product(rng, run, matrix.weight, matrix.bias).astype(float)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(margins, "FEW", few)
        patch.setattr(margins, "ROWS", int(rng.integers(1, 6)))
        patch.setattr(margins, "COLUMNS", int(rng.integers(1, 4)))
        patch.setattr(margins, "CELLS", int(rng.integers(1, 100)))
        found = margins_of_sums(x, matrix, answers, token_ids, np.inf)
        others = margins_of_sums(x, matrix, answers, token_ids, 1.0)
        logits = margins._Logits(x, matrix, token_ids[answers])
        enough = logits.reach * rng.choice([-1e6, 0.5, 1, 2, np.inf])  # none, some or all are near
        closely = logits.closely(np.arange(count), np.where(np.isnan(enough), 0.0, enough))
        alone = [np.where(answers < 0, -np.inf, each) for each in (logits.roughly, closely)]
    for token, others_of_it in enumerate(logits.others.T):
        most = logits._highest(others_of_it)
        assert ((most == -np.inf) == (logits.ids == token)).all()
        assert (run[:, token].max() <= most[logits.ids != token]).all()
    apart = margins_of_logits(x.read(matrix)[0], answers, token_ids)
    for bounds in (found, others, apart, *alone):
        for answer, margin in zip(answers, bounds, strict=True):
            if answer < 0:
                assert margin == -np.inf
                continue
            right = token_ids[answer]
            seen = run[:, right] - np.delete(run, right, axis=1).max(axis=1)
            assert (margin <= seen).all()
    if (apart > 0).all():
        assert found.min() >= 0.999 * apart.min()


@given(seeds, st.integers(2, 8))
def test_one_weighted_sum_of_each_row_is_what_a_matrix_reads(rng, width):
    sums, _, _ = drawn_with_spans(rng, width)
    weight = boxes(rng, width, 6, most=3).center
    gain, bias = (boxes(rng, 1, width, most=2).center[0] for _ in range(2))
    for normed in (
        layer_norm_of_sums(sums, gain, bias, EPSILON),
        rms_norm_of_sums(Sums(sums.parts, sums.stream.shared()), gain, EPSILON, FLOAT32),
    ):
        assume(not np.isnan(normed.factor).any())
        found, rounding = normed.read(Matrix(weight, np.zeros(6)))
        each = normed.rows(np.zeros(6, dtype=np.int64)).read_of_each(weight.T)
        size = 1e-9 * (1 + np.abs(found.center[0]) + found.error[0])
        assert (np.abs(each.center - found.center[0]) <= size).all()
        assert (each.error <= found.error[0] + size).all()
        assert (each.error >= found.error[0] - rounding[0] - size).all()


@given(seeds, st.integers(2, 8))
def test_the_least_sum_alternative_by_alternative(rng, width):
    sums, _, rows = drawn_with_spans(rng, width)
    weight = boxes(rng, width, 6, most=3).center
    gain, bias = (boxes(rng, 1, width, most=2).center[0] for _ in range(2))
    normed = layer_norm_of_sums(sums, gain, bias, EPSILON)
    assume(not np.isnan(normed.factor).any())
    found = OneByOne(normed).least(weight)
    several = OneByOne(normed.rows(np.zeros(3, dtype=np.int64))).least(weight)
    run = steps.layer_norm(rng, rows, gain, bias, EPSILON).astype(float)
    least = ((run - bias) @ weight).min(axis=0)
    rounding = 2.0**-22 * (np.abs(run) + np.abs(bias)).max(axis=0) @ np.abs(weight)  # of the bias
    assert (found <= least + rounding).all()
    assert (several <= least + rounding).all()


def test_the_least_sum_and_the_largest_deviation_are_of_different_alternatives():
    part = Part(np.array([[1.0, -1.0, 0.0], [8.0, -8.0, 0.0]]), [np.array([0, 1])], np.array([2]))
    none = np.zeros((1, 3))
    sums = Sums([part], Stream.of(Bounded(none, none)))
    x = layer_norm_of_sums(sums, np.ones(3), np.zeros(3), EPSILON)
    weight = np.array([[1.0], [-1.0], [0.0]])
    assert np.allclose(OneByOne(x).least(weight), np.sqrt(6), atol=1e-3)
    found = x.read(Matrix(weight, np.zeros(1)))[0]
    assert found.center - found.error < 0.5


def test_what_two_logits_share_cancels():
    known, error = np.tile([3.0, 1.0, -4.0], (2, 1)), np.full((2, 3), 0.05)
    x = layer_norm_of_sums(Sums([], Stream.of(Bounded(known, error))), np.ones(3), np.zeros(3), EPSILON)
    matrix = Matrix(np.array([[9.0, 9.0], [1.0, 0.0], [0.0, 0.0]]), np.zeros(2))
    answers = np.array([0, -1])
    apart = margins_of_logits(x.read(matrix)[0], answers, np.arange(2))
    found = margins_of_sums(x, matrix, answers, np.arange(2), np.inf)
    assert apart[0] < 0 < found[0]
    assert found[1] == -np.inf


def test_a_part_that_is_read_about_the_mean_only():
    table = np.array([[0.0, 1.0, 2.0], [0.0, -4.0, 1.0], [0.0, 0.5, 0.5]])
    part = Part(table, [np.array([0, 1, 2])], np.array([3, 1]))
    weight = np.array([[5.0, 6.0], [-1.0, 2.0], [-1.0, 2.0]])
    for key in ("key", None):
        ends = part.ends(lambda: weight, key)
        assert ends.least.tolist() == [[-3, -6], [3, -6]]
        assert ends.most.tolist() == [[3, 6], [3, -6]]
        assert part.ends(lambda: weight, key, np.array([1])).most.tolist() == [[6], [-6]]
    low, high = part.ends_of_each(weight.T)
    assert low.tolist() == [-3, -6]
    assert high.tolist() == [3, -6]
    other = part.ends(lambda: np.array([[5.0], [-1.0], [1.0]]), "other")
    assert other.least.tolist() == [[0], [5]]
    assert other.most.tolist() == [[5], [5]]
    assert part.ends(lambda: weight * [[1], [0], [0]], "nothing").is_nothing
