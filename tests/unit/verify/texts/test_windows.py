"""Every position of a model is tried after every window that the rules can tell apart."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handcraft import Program, compile_program, predict
from handcraft.testing import rule_programs
from handcraft.verify import verify
from handcraft.verify.texts import windows
from handcraft.verify.texts.windows import token_kinds, window_cycle, window_texts

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


@given(size=st.integers(1, 5), width=st.integers(1, 4), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_a_cycle_shows_every_window_once(size, width, seed):
    cycle = window_cycle(size, width, np.random.default_rng(seed))
    around = np.concatenate([cycle, cycle])
    windows = {tuple(around[i : i + width].tolist()) for i in range(len(cycle))}
    assert len(cycle) == len(windows) == size**width


@given(program=rule_programs(max_tokens=3, max_context=4), positions=st.integers(5, 12))
@settings(max_examples=20, deadline=None)
def test_every_position_ends_every_window_if_all_windows_fit(program, positions):
    found = window_texts(program, positions, 5_000, seed=0)
    assert found.seen == found.count
    for end in range(program.context, positions):
        seen = {tuple(row) for row in found.texts[:, end + 1 - found.width : end + 1].tolist()}
        assert len(seen) == len(program.vocabulary) ** found.width


@given(program=rule_programs(max_tokens=4, max_context=4), most=st.integers(1, 30))
@settings(max_examples=20, deadline=None)
def test_no_position_ends_a_window_twice_before_all_are_seen(program, most):
    found = window_texts(program, 9, most, seed=0)
    assert len(found.texts) <= most
    kind_of = {t: i for i, kind in enumerate(token_kinds(program)) for t in kind}
    kinds = np.vectorize(kind_of.get)(found.texts)
    for end in range(program.context, 9):
        windows = {tuple(row) for row in kinds[:, end + 1 - found.width : end + 1].tolist()}
        assert len(windows) >= min(found.seen, len(token_kinds(program)) ** found.width)


def test_tokens_that_no_rule_distinguishes_are_one():
    program = Program("abcdef", 3, [predict("a").after("[bc]a"), predict("b").otherwise()])
    assert token_kinds(program) == [[0], [1, 2], [3, 4, 5]]
    assert window_texts(program, 20, 30, seed=0).count == 9
    assert window_texts(program, 20, 40, seed=0).count == 36


def test_a_huge_vocabulary_is_shown_in_part_and_that_is_said():
    words = [f"w{i}" for i in range(700)]
    rules = [predict(b).after(f"{a} {b}") for a, b in pairwise(words)]
    program = Program(words, 4, [*rules, predict("w0").otherwise()])
    found = window_texts(program, 50, 60, seed=0)
    assert (found.count, found.seen, found.texts.shape) == (490_000, 60, (60, 50))


def test_a_vocabulary_of_more_tokens_than_windows_that_are_shown_is_shown_all_the_same(monkeypatch):
    monkeypatch.setattr(windows, "MOST_WINDOWS", 2)
    program = Program("abc", 3, [predict("a").after(token) for token in "abc"])
    assert set(window_texts(program, 4, 100, seed=0).texts.ravel().tolist()) == {0, 1, 2}


def test_the_report_says_how_much_was_shown(program):
    model = compile_program(program, n_positions=30).model
    report = verify(model, program, sample=300)
    assert report.longer_in_words == (
        "260 longer contexts: each further position after 10 of 27 windows of 3 tokens"
    )


@pytest.mark.parametrize("style", ["one-hot", "binary"])
def test_every_edit_of_a_further_position_that_changes_an_answer_is_found(style):
    """Held against 300 random texts, in which each window ends at each position many times."""
    model = compile_program(AAB, n_positions=9, positions=style).model
    random = np.random.default_rng(1)
    texts = random.integers(0, 2, size=(300, 9))
    meant = np.array([AAB.next_tokens(text) for text in texts.tolist()])
    changing, missed = 0, []
    for position in range(AAB.context, 9):
        for dimension in range(position % 2, model.shape.n_embd, 2):
            wpe = model.tensors["wpe.weight"].copy()
            wpe[position, dimension] += random.choice([-3, 1, 2, 500])
            wrong = replace(model, tensors={**model.tensors, "wpe.weight": wpe})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                answers = wrong.answer(texts).argmax(-1)
            if (answers != meant)[:, AAB.context :].any():
                changing += 1
                if verify(wrong, AAB, sample=500).passed:
                    missed.append((position, dimension))
    assert changing > 10
    assert missed == []
