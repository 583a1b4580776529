"""What is left out of a proof by windows changes nothing: units that are off, dimensions, rules."""

from __future__ import annotations

from itertools import product

import float32_steps as steps
import numpy as np
import pytest
from checked_programs import meaning_of, n_grams
from drawn_sums import EPSILON, drawn, in_float32, random_mlp, seeds, written_in_float32
from float32_steps import F, assert_inside, boxes
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from handcraft import Program, compile_program, predict, save
from handcraft.weights.layout import Sizes
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows import parts as parts_of
from handcraft_check.by_windows.few_units import Open, few_units
from handcraft_check.by_windows.mostly import Mostly, shared, united
from handcraft_check.by_windows.narrow import narrowed
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import Sums, layer_norm_of_sums
from handcraft_check.by_windows.values import Values
from handcraft_check.by_windows.windows import TokenSets, WindowMeaning
from handcraft_check.claim import read_claim
from handcraft_check.layers.hidden_units import GELU
from handcraft_check.layers.matrix import Matrix
from handcraft_check.prove import prove


def test_the_bias_is_a_term_of_what_one_unit_writes():
    known, none = np.array([[1.0, -1.0]]), np.zeros((1, 2))
    normed = layer_norm_of_sums(
        Sums([], Stream.of(Bounded(known, none))), np.ones(2), np.zeros(2), EPSILON
    )
    up = Matrix(np.zeros((2, 1)), np.array([16.0]))
    down = Matrix(np.array([[64.0, 64.0]]), np.array([0.0, F(0.0014)], dtype=np.float64))
    open_ = Open.of(normed, up, *normed.not_below(up, -GELU.straight))
    found = few_units(normed, open_, up, down, GELU)
    assert found.error[0, 0] < 2.0**-15 < found.error[0, 1]  # 1024.0014 is rounded


@given(seeds, st.integers(2, 10), st.integers(1, 8))
def test_what_few_units_make_of_sums(rng, width, units):
    sums, each = drawn(rng, width)
    rows = in_float32(rng, sums, each)
    gain, bias, up, down = random_mlp(rng, width, units)
    up.bias[:] = rng.choice([-1, -1, -1, 1], size=units) * rng.choice([0, 16, 256], size=units)
    normed = layer_norm_of_sums(sums, gain, bias, EPSILON)
    open_ = Open.of(normed, up, *normed.not_below(up, -GELU.straight))
    found = few_units(normed, open_, up, down, GELU)
    assume(not np.isnan(found.center + found.error).any())
    read, written = written_in_float32(rng, rows, gain, bias, up, down)
    off = np.setdiff1d(np.arange(units), open_.units)
    assert (read[:, off] <= -GELU.straight).all()
    lost = 2.0**-48 * (np.abs(written) + np.abs(each) + np.abs(found.center))
    apart = rows.astype(np.float64) + written - (each - sums.known) - found.center
    assert (np.abs(apart) <= found.error + lost).all()


@given(seeds, st.integers(2, 10), st.integers(1, 4))
def test_units_that_write_the_opposite_of_each_other(rng, width, pairs):
    sums, each = drawn(rng, width)
    rows = in_float32(rng, sums, each)
    gain, bias, up, down = random_mlp(rng, width, 2 * pairs)
    up.weight[:, pairs:], down.weight[pairs:] = up.weight[:, :pairs], -down.weight[:pairs]
    up.bias[:] = rng.choice([64, 256, 1024], size=2 * pairs) + rng.integers(9, size=2 * pairs)
    normed = layer_norm_of_sums(sums, gain, bias, EPSILON)
    open_ = Open.of(normed, up, *normed.not_below(up, -GELU.straight))
    assume(len(open_.rows) == 2 * pairs and (open_.states(GELU) == 2).all())
    found = few_units(normed, open_, up, down, GELU, cancels=True)
    assume(not np.isnan(found.center + found.error).any())
    _, written = written_in_float32(rng, rows, gain, bias, up, down)
    apart = rows.astype(np.float64) + written - (each - sums.known) - found.center
    assert (np.abs(apart) <= found.error + 2.0**-48 * (np.abs(written) + np.abs(found.center))).all()
    exact = (up.bias[:pairs] - up.bias[pairs:]) @ down.weight[:pairs] + down.bias
    assert np.allclose(found.center - sums.known, exact, rtol=1e-9, atol=1e-9)


@given(seeds, st.integers(2, 8), st.integers(1, 5))
def test_layer_norm_with_a_dimension_that_stands_for_several(rng, width, several):
    sums, each = drawn(rng, width)
    rows = in_float32(rng, sums, each)
    gain, bias = (boxes(rng, 1, width + several, most=3).center[0] for _ in range(2))
    weight, added = boxes(rng, width, 5, most=3).center, boxes(rng, 1, 5).center[0]
    none = np.zeros((len(rows), several), dtype=F)
    normed = steps.layer_norm(rng, np.concatenate([rows, none], axis=1), gain, bias, EPSILON)
    unread = np.concatenate([weight, np.zeros((several, 5))])
    exact = steps.product(rng, normed, unread, added)

    def one(numbers):
        return np.append(numbers[:width], np.abs(numbers[width:]).max())

    def wider(numbers):
        return np.concatenate([numbers, np.zeros((len(numbers), 1))], axis=1)

    parts = [Part(wider(part.table), part.sets, part.chosen) for part in sums.parts]
    x = Sums(parts, Stream.of(Bounded(wider(sums.known), wider(sums.error))))
    times = np.append(np.ones(width), several)
    found, _ = layer_norm_of_sums(x, one(gain), one(bias), EPSILON, times).read(
        Matrix(wider(weight.T).T, added)
    )
    assume(not np.isnan(found.error).any())
    assert_inside(exact, found)


@given(seeds, st.integers(1, 3))
def test_ends_of_sets_in_the_order_of_values(rng, groups):
    run, out = 30, 4
    table = rng.choice([-1.0, 0.0, 0.5, 1.0], size=(groups * run, 3))
    sets = []
    for _ in range(12):
        first = int(rng.integers(groups)) * run
        sets.append(first + np.sort(rng.permutation(run)[: rng.integers(9, run + 1)]))
    chosen = len(table) + np.concatenate([rng.permutation(12), rng.integers(12, size=3)])
    weight, columns = rng.normal(size=(3, out)), np.sort(rng.permutation(out)[:2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_of, "RANKED", int(rng.integers(1, 40)))
        patch.setattr(parts_of, "FEW", 0)
        part = Part(table, sets, chosen, run=run)
        values = part.product(lambda: weight, "key")
        for some in (None, columns):
            ends = part.ends(lambda: weight, "key", some)
            for row, number in enumerate(chosen - len(table)):
                each = values[sets[number]][:, slice(None) if some is None else some]
                assert (ends.least[row] == each.min(axis=0)).all()
                assert (ends.most[row] == each.max(axis=0)).all()
        assert any(key[0] == "order" for key in part.read if isinstance(key, tuple))


@given(seeds)
def test_numbers_that_are_mostly_one(rng):
    dense = rng.choice([0, 0, 0, 1, 2], size=12)
    found = Mostly.of(0, np.arange(12), dense)
    rows = np.flatnonzero(rng.random(12) < 0.5)
    assert (found.at(rows) == dense[rows]).all()
    flags = rng.random(3) < 0.5
    assert found.where(flags, 12).tolist() == np.flatnonzero(flags[dense]).tolist()
    some = [np.flatnonzero(rng.random(12) < 0.6) for _ in range(3)]
    assert united(*some).tolist() == sorted({*some[0], *some[1], *some[2]})
    assert shared(*some).tolist() == sorted({*some[0]} & {*some[1]} & {*some[2]})


@given(program=n_grams(), rng=seeds)
@settings(max_examples=40)
@pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")
def test_what_rules_mean_on_sets_of_tokens(program, rng):
    meaning = meaning_of(program)
    windows = WindowMeaning(meaning, program.context)
    sets = TokenSets(len(meaning.vocabulary))
    for window in windows.windows(np.empty((0, program.context), dtype=np.int64)):
        atoms, count = window.sources.shape[1], len(meaning.vocabulary)
        some = [
            [np.flatnonzero(rng.random(count) < rng.choice([0.3, 0.8])) for _ in range(atoms)]
            for _ in range(8)
        ]
        some = [[s if len(s) else np.array([0]) for s in row] for row in some]
        chosen = np.array([[sets.number(s) for s in row] for row in some])
        values = Values(windows, window, sets, chosen, meaning.rules)
        undecided = values.undecided(np.arange(len(chosen)))
        position = int(window.positions[0])
        for row, answer in enumerate(values.answers.tolist()):
            texts = np.zeros((int(np.prod([len(s) for s in some[row]])), position + 1), dtype=int)
            texts[:, window.sources[0]] = [*product(*some[row])]
            meant = meaning.answers(texts).token
            assert answer == -1 or (meant == answer).all()
            is_single = all(len(s) == 1 for s in some[row])
            assert answer >= 0 or not is_single
            assert answer >= 0 or undecided[row]
        fewer = values.open_rules(np.array([0]))
        again = Values(windows, window, sets, chosen[:1], fewer)
        assert again.answers.tolist() == values.answers[:1].tolist()


def test_a_padded_model_is_proved(tmp_path):
    rules = [predict("b").after("aab"), predict("c").after("ca"), predict("a").otherwise()]
    program = Program(vocabulary="abc", context=40, rules=rules)
    for width in (None, 160):
        folder = tmp_path / str(width)
        save(compile_program(program, architecture="gpt2", sizes=Sizes(n_embd=width)), folder)
        claim = read_claim(folder)
        narrow = narrowed(claim.model, claim.token_ids, 40, merges=True)
        assert narrow.times.sum() == claim.model.config.n_embd
        if width:
            assert len(narrow.times) < width
        assert prove(folder).word == "proved"
