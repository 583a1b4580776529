"""Every context once, with the logits that a plain forward pass gives it; or a sample of them."""

from __future__ import annotations

import importlib
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handcraft.verify import count_contexts, every_context, random_contexts
from handcraft.verify.texts.contexts import longer_contexts

# `handcraft.verify` also exports a function of that name, so the module is asked for by its own.
contexts_module = importlib.import_module("handcraft.verify.texts.contexts")

SIZES = [(1, 1), (1, 5), (2, 1), (2, 5), (3, 4), (5, 3)]


def contexts_of(batch):
    return [tuple(batch.context(i)) for i in range(len(batch))]


def assert_plain(model, batch):
    """The logits are those of a plain forward pass over each context alone."""
    assert batch.logits.shape == (len(batch), len(model.vocabulary))
    for context, logits in zip(contexts_of(batch), batch.logits, strict=True):
        plain = model.forward([context])[0, -1]
        np.testing.assert_allclose(logits, plain, rtol=1e-10, atol=1e-12)


def all_contexts(size, longest):
    return [ids for n in range(1, longest + 1) for ids in product(range(size), repeat=n)]


@pytest.mark.parametrize(("size", "longest"), SIZES)
def test_contexts_are_counted_by_the_sum_of_powers(size, longest):
    assert count_contexts(size, longest) == len(all_contexts(size, longest))


def test_counts_that_no_machine_word_holds_are_exact():
    assert count_contexts(2, 16) == 131_070
    assert count_contexts(10, 30) == int("1" * 30 + "0")


@pytest.mark.parametrize(("size", "longest"), SIZES)
@pytest.mark.parametrize("room", [1, 200, 1 << 21])
def test_each_context_comes_exactly_once(random_model, monkeypatch, size, longest, room):
    monkeypatch.setattr(contexts_module, "CACHE_NUMBERS", room)
    batches = every_context(random_model(size, longest), longest)
    seen = Counter(context for batch in batches for context in contexts_of(batch))
    assert sorted(seen) == sorted(all_contexts(size, longest))
    assert set(seen.values()) == {1}


@pytest.mark.parametrize(("size", "longest"), SIZES)
@pytest.mark.parametrize("n_inner", [(), (0,), (4, 0, 3)])
@pytest.mark.parametrize("room", [1, 1 << 21])
def test_the_logits_are_those_of_a_plain_forward_pass(
    random_model, monkeypatch, size, longest, n_inner, room
):
    monkeypatch.setattr(contexts_module, "CACHE_NUMBERS", room)
    model = random_model(size, longest, n_inner=n_inner)
    for batch in every_context(model, longest):
        assert_plain(model, batch)


def test_contexts_stop_at_the_requested_length_even_if_longer_ones_fit(random_model):
    model = random_model(2, 6)
    seen = [context for batch in every_context(model, 3) for context in contexts_of(batch)]
    assert sorted(seen) == sorted(all_contexts(2, 3))


def test_a_long_context_of_few_tokens_is_walked_too(random_model):
    batches = every_context(random_model(1, 1500, n_inner=(0,), n_head=1), 1500)
    assert sum(len(batch) for batch in batches) == 1500


def test_a_sample_has_as_many_contexts_as_requested(random_model):
    model = random_model(3, 6)
    for count in (1, 7, 500):
        assert sum(len(batch) for batch in random_contexts(model, count, 0, 6)) == count


def test_a_sample_runs_in_small_batches(random_model, monkeypatch):
    monkeypatch.setattr(
        contexts_module, "TEXT_NUMBERS", 30
    )  # five texts of two positions, three tokens
    batches = list(random_contexts(random_model(3, 2), 95, 0, 2))
    assert sum(len(batch) for batch in batches) == 95
    assert max(len(batch) for batch in batches) == 10


def test_a_sample_has_the_logits_of_a_plain_forward_pass(random_model):
    model = random_model(3, 6)
    for batch in random_contexts(model, 200, 1, 6):
        assert_plain(model, batch)


def test_every_length_and_every_token_is_sampled_about_equally(random_model):
    lengths, tokens = Counter(), Counter()
    for batch in random_contexts(random_model(3, 9), 4000, 0, 4):
        for context in contexts_of(batch):
            lengths[len(context)] += 1
            tokens.update(context)
    assert sorted(lengths) == [1, 2, 3, 4]
    assert all(850 < count < 1150 for count in lengths.values())
    share = sum(tokens.values()) / 3
    assert all(0.9 * share < tokens[token] < 1.1 * share for token in range(3))


def test_a_seed_decides_the_sample(random_model):
    model = random_model(3, 6)

    def drawn(seed):
        return [contexts_of(batch) for batch in random_contexts(model, 50, seed, 6)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_longer_contexts_are_all_prefixes_of_some_long_texts(random_model):
    model = random_model(3, 12)
    texts = np.random.default_rng(0).integers(0, 3, size=(2, 12))
    batches = list(longer_contexts(model, texts, 5))
    found = [context for batch in batches for context in contexts_of(batch)]
    assert found == [tuple(text[:length]) for text in texts.tolist() for length in range(5, 13)]
    for batch in batches:
        assert_plain(model, batch)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 3), st.integers(2, 5), st.sampled_from([(), (4, 0, 3)]), st.integers(1, 200))
def test_fresh_memory_is_written_before_it_is_read(random_model, size, longest, n_inner, room):
    """All of it is NaN here: reading it would change a logit, or be an invalid operation."""
    model = random_model(size, longest, n_inner=n_inner)
    ids = np.random.default_rng(0).integers(0, size, (2, longest))
    zeros = np.zeros

    def run():
        cache = model.empty_cache(batch=2)
        for array in (cache.keys, cache.values):
            array.fill(np.nan)
        logits = [model.forward(ids[:, :1], cache)]
        longer = cache.repeat(2, extra=longest)
        logits += [model.forward(ids[:, [i]].repeat(2, axis=0), longer) for i in range(1, longest)]
        batches = [*every_context(model, longest), *random_contexts(model, 4, 0, longest)]
        return [*logits, *(batch.logits for batch in batches)]

    def full_of_nan(shape, dtype=float, **how):
        fresh = zeros(shape, dtype, **how)
        if fresh.dtype.kind == "f":
            fresh.fill(np.nan)
        return fresh

    with pytest.MonkeyPatch.context() as patch, np.errstate(invalid="raise"):
        patch.setattr(contexts_module, "CACHE_NUMBERS", room)
        expected = run()
        patch.setattr(np, "empty", full_of_nan)
        for found, right in zip(run(), expected, strict=True):
            np.testing.assert_array_equal(found, right)
