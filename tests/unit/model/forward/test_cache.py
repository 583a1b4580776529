"""A cache of keys and values never changes an answer."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft.errors import HandcraftError, ModelError


def pieces(length):
    """Every way to cut `length` positions into pieces."""
    for cuts in range(1 << (length - 1)):
        ends = [i + 1 for i in range(length - 1) if cuts >> i & 1] + [length]
        yield list(zip([0, *ends[:-1]], ends, strict=True))


def test_however_a_text_is_cut_the_cache_gives_the_logits_of_the_whole(small):
    ids = np.array([[0, 2, 1, 1, 0], [2, 2, 0, 1, 2]])
    whole = small.forward(ids)
    for cut in pieces(5):
        cache = small.empty_cache(batch=2)
        parts = [small.forward(ids[:, start:stop], cache) for start, stop in cut]
        np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-12, atol=1e-12)
        assert cache.length == 5


def test_the_cache_agrees_on_every_shape_and_dtype(random_model, shape):
    for dtype, tolerance in (("float64", 1e-10), ("float32", 1e-2)):
        model = random_model(shape, dtype=dtype, seed=3)
        random = np.random.default_rng(2)
        ids = random.integers(0, shape.n_vocab, (3, shape.n_positions))
        cache = model.empty_cache(batch=3)
        steps = [model.forward(ids[:, [i]], cache) for i in range(shape.n_positions)]
        whole = model.forward(ids)
        np.testing.assert_allclose(np.concatenate(steps, axis=1), whole, rtol=tolerance, atol=tolerance)


def test_the_naive_loops_agree_with_the_cache(small, naive):
    cache = small.empty_cache()
    text = [1, 0, 2, 2, 1]
    steps = [small.forward([[token]], cache)[0, 0] for token in text]
    np.testing.assert_allclose(steps, naive(small, text), rtol=1e-9, atol=1e-9)


def test_a_full_cache_takes_no_more(small):
    cache = small.empty_cache()
    small.forward([[0, 1, 2, 0]], cache)
    with pytest.raises(ModelError) as caught:
        small.forward([[0, 1]], cache)
    assert caught.value.what == "6 tokens, but the model has 5 positions"


def test_a_refused_forward_leaves_the_cache_as_it_was(small):
    cache = small.empty_cache()
    small.forward([[0, 1]], cache)
    with pytest.raises(ModelError):
        small.forward([[9]], cache)
    assert cache.length == 2
    np.testing.assert_allclose(
        small.forward([[2]], cache)[0, -1], small.forward([[0, 1, 2]])[0, -1], rtol=1e-12
    )


def test_repeated_rows_go_on_alone(small):
    """One prefix, continued by every token: what the walk over all contexts does."""
    prefixes = np.array([[0, 1], [2, 0]])
    cache = small.empty_cache(batch=2)
    small.forward(prefixes, cache)
    tokens = np.array([[0], [1], [2]] * 2)
    found = small.forward(tokens, cache.repeat(3, extra=1))[:, -1]
    texts = np.hstack([prefixes.repeat(3, axis=0), tokens])
    np.testing.assert_allclose(found, small.forward(texts)[:, -1], rtol=1e-12)
    assert cache.length == 2


def test_repeating_leaves_the_first_cache_untouched(small):
    cache = small.empty_cache()
    small.forward([[0, 1]], cache)
    before = cache.keys.copy()
    small.forward([[2], [1]], cache.repeat(2, extra=1))
    np.testing.assert_array_equal(cache.keys, before)


def test_some_rows_of_a_cache_are_those_rows(small):
    ids = np.array([[0, 1], [2, 0], [1, 1]])
    cache = small.empty_cache(batch=3)
    small.forward(ids, cache)
    part = cache.rows(slice(1, 3)).repeat(1, extra=1)
    found = small.forward([[2], [2]], part)[:, -1]
    np.testing.assert_allclose(found, small.forward([[2, 0, 2], [1, 1, 2]])[:, -1], rtol=1e-12)


def test_a_cache_of_another_batch_is_refused(small):
    cache = small.empty_cache(batch=2)
    with pytest.raises(HandcraftError):
        small.forward([[0], [1], [2]], cache)


def test_a_full_cache_is_refused(small):
    cache = small.empty_cache(positions=1)
    with pytest.raises(HandcraftError):
        small.forward([[0, 1]], cache)
