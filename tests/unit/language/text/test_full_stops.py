"""A full stop in a pattern is any token, which a vocabulary with a full stop is warned of."""

from __future__ import annotations

import warnings

import pytest

from handcraft import HandcraftWarning, Program, predict


def read(pattern: str, vocabulary: str = "ab.") -> Program:
    return Program(vocabulary, 5, [predict("b").after(pattern), predict("a").otherwise()])


def test_a_full_stop_that_may_be_meant_as_a_token_is_warned_of_and_the_fix_works():
    with pytest.warns(HandcraftWarning, match=r"write \\\. for that token alone"):
        program = read("a.")
    assert program.meaning("ab") == "b"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(r"a\.").meaning("ab") == "a"
        assert read(r"a\.").meaning("a.") == "b"
        assert read("a.", "ab").meaning("ab") == "b"
