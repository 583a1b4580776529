"""Prompts: what texts are legal, and everything that can be wrong with a declaration."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from handcraft import Prompts, Vocabulary
from handcraft.errors import HandcraftError, ProgramError, SeveralErrors, VocabularyError


def test_prompts_are_made_from_a_vocabulary_or_what_makes_one():
    assert Prompts("ab", 3).vocabulary == Prompts(Vocabulary("ab"), 3).vocabulary
    assert Prompts(["the", "cat"], 3).token.trace("the cat") == ("the", "cat")
    assert Prompts("ab", 3).token is not Prompts("ab", 3).token


@pytest.mark.parametrize("text", ["", "aaaa"])
def test_a_text_fits_the_context(text):
    with pytest.raises(ProgramError, match="for a context of 3"):
        Prompts("ab", 3).token.trace(text)


def test_an_unknown_token_is_refused():
    with pytest.raises(VocabularyError, match="'x' is not in the vocabulary"):
        Prompts("ab", 3).token.trace("ax")


def test_a_regular_expression_and_a_first_token_say_which_texts_are_legal():
    prompts = Prompts("^ab", 5, inputs=r"\^a*b?", bos="^")
    assert prompts.is_legal(("^", "a", "b"))
    assert not prompts.is_legal(("^", "b", "b"))
    assert not prompts.is_legal(("a", "b"))
    assert not Prompts("^ab", 5, bos="^").is_legal(("^", "^"))
    assert Prompts("ab", 5).is_legal(("b",))
    assert Prompts("ab", 5, inputs=st.text("ab")).is_legal(("b",))


def test_everything_wrong_is_told_at_once_at_its_line():
    with pytest.raises(SeveralErrors) as caught:
        Prompts("ab", 0, inputs="[", bos="c")
    assert len(caught.value.problems) == 3
    assert all("test_prompts.py" in problem.where for problem in caught.value.problems)
    with pytest.raises(HandcraftError, match="of type int"):
        Prompts("ab", 3, inputs=3)


@pytest.mark.parametrize("context", [0, -1, True, 2.5, "5", None])
def test_a_context_is_a_whole_number(context):
    with pytest.raises(ProgramError, match="the context is"):
        Prompts("ab", context)
