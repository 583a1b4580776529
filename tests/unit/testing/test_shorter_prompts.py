"""Shrinking a prompt: what is left fails, is allowed, and nothing can be left out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from handcraft.testing.means.shorter import shrunk


def everywhere(texts):
    return np.ones(len(texts), dtype=bool)


@given(
    prompt=st.lists(st.integers(0, 3), min_size=1, max_size=20),
    needed=st.lists(st.integers(0, 3), max_size=4),
)
def test_what_is_left_is_what_is_needed(prompt, needed):
    """A prompt fails if it contains some tokens in order; the shortest such text is these tokens."""

    def contains(text):
        rest = iter(text)
        return all(token in rest for token in needed)

    def fails(texts):
        return np.array([contains(text) for text in texts.tolist()], dtype=bool)

    if contains(prompt):
        assert shrunk(tuple(prompt), fails, everywhere) == tuple(needed or [0])


@given(prompt=st.lists(st.integers(0, 2), min_size=3, max_size=12).map(tuple), seed=st.integers(0, 99))
def test_whatever_fails_the_result_fails_is_allowed_and_is_no_larger(prompt, seed):
    def chance(text):
        return hash((tuple(text), seed)) % 3 == 0

    def fails(texts):
        return np.array([tuple(text) == prompt or chance(text) for text in texts.tolist()], dtype=bool)

    def allowed(texts):
        return (texts[:, 0] != 1) if prompt[0] != 1 else everywhere(texts)

    found = shrunk(prompt, fails, allowed)
    row = np.array([found])
    assert fails(row)[0]
    assert allowed(row)[0]
    assert (len(found), found) <= (len(prompt), prompt)
    for place in range(len(found) if len(found) > 1 else 0):
        shorter = np.delete(row, place, axis=1)
        assert not (fails(shorter) & allowed(shorter))[0]
