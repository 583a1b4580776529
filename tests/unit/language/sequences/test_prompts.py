"""Prompts: what texts are allowed, and everything that can be wrong with a declaration."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import strategies as st

from handcraft import Prompts, Vocabulary
from handcraft.errors import (
    HandcraftError,
    ProgramError,
    PromptError,
    SeveralErrors,
    VocabularyError,
)


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


def test_a_regular_expression_and_a_first_token_say_which_texts_are_allowed():
    prompts = Prompts("^ab", 5, inputs=r"\^a*b?", bos="^")
    assert prompts.allows(("^", "a", "b"))
    assert not prompts.allows(("^", "b", "b"))
    assert not prompts.allows(("a", "b"))
    assert not Prompts("^ab", 5, bos="^").allows(("^", "^"))
    assert Prompts("ab", 5).allows(("b",))
    assert Prompts("ab", 5, inputs=st.text("ab")).allows(("b",))


def test_a_text_is_allowed_as_its_tokens_are():
    prompts = Prompts("the cat sat", 3, inputs="the( cat)?")
    assert prompts.allows("the cat")
    assert prompts.allows(["the", "cat"])
    assert not prompts.allows("the dog")
    assert not prompts.allows("")
    assert prompts.is_input("the  cat")  # blanks separate, as in every prompt
    assert Prompts("ab", 3, inputs="a+").allows("aa")


def test_everything_wrong_is_reported_at_once_at_its_line():
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


# --- what a program writes itself --------------------------------------------------------------


@pytest.mark.parametrize("writes", [0, -1, True, 2.0, "3", None])
def test_what_is_written_is_a_whole_number_of_tokens(writes):
    with pytest.raises(ProgramError) as caught:
        Prompts("ab", 5, inputs="ab", writes=writes)
    assert caught.value.what == f"writes={writes!r}"
    assert caught.value.fix == "use a whole number of tokens, 1 or more"
    assert "test_prompts.py" in caught.value.where


@pytest.mark.parametrize("inputs", [None, st.text("ab")])
def test_only_a_regular_expression_says_where_an_answer_begins(inputs):
    with pytest.raises(ProgramError, match="writes=2, but no regular expression describes the inputs"):
        Prompts("ab", 5, inputs=inputs, writes=2)
    assert Prompts("ab", 5, inputs=inputs, writes=1).writes == 1


def test_an_answer_fits_the_context():
    assert Prompts("ab", 5, inputs="a", writes=5).longest_input == 1
    with pytest.raises(ProgramError, match="writes=6 for a context of 5"):
        Prompts("ab", 5, inputs="a", writes=6)


def test_without_a_mask_nothing_is_written_token_by_token():
    with pytest.raises(ProgramError, match="writes=2 for a program without mask"):
        Prompts("ab", 5, inputs="a", writes=2, causal=False)
    assert Prompts("ab", 5, inputs="a", causal=False).writes == 1


def test_what_is_wrong_with_an_answer_is_reported_with_the_rest():
    with pytest.raises(SeveralErrors) as caught:
        Prompts("ab", 0, inputs="[", bos="c", writes=0)
    assert len(caught.value.problems) == 4


WRITING = {
    "one input": Prompts("ab=", 6, inputs="[ab]{2}=", writes=3),
    "inputs of two lengths": Prompts("ab=", 6, inputs="[ab]{1,2}=", writes=3),
    "an input that begins another": Prompts("ab", 6, inputs="a+", writes=3),
    "any text": Prompts("ab", 5, inputs="[ab]+", writes=3),
    "an answer as long as the context": Prompts("ab", 4, inputs="[ab]*", writes=4),
    "inputs that leave no room": Prompts("ab", 4, inputs="[ab]{3}|b", writes=3),
    "words": Prompts(["a", "ab", "b"], 5, inputs="a( ab)?", writes=3),
    "a first token": Prompts("<ab", 5, inputs="<[ab]?", bos="<", writes=3),
    "a letter again": Prompts("ab", 5, inputs=r"(a|b)\1", writes=3),
}


@pytest.mark.parametrize("prompts", WRITING.values(), ids=WRITING.keys())
def test_an_allowed_prompt_is_an_input_and_a_part_of_its_answer(prompts):
    """By the definition: an input with room for its answer, and fewer tokens than are written."""
    texts = [
        t for n in range(prompts.context + 2) for t in product(prompts.vocabulary.tokens, repeat=n)
    ]
    room = prompts.context - prompts.writes + 1

    def is_input(text):
        allowed = prompts.bos is None or (text[:1] == (prompts.bos,) and prompts.bos not in text[1:])
        spelled = prompts.vocabulary.join(text)
        return allowed and 0 < len(text) <= room and re.fullmatch(prompts.inputs, spelled) is not None

    for text in texts:
        ends = [n for n in range(prompts.writes) if n <= len(text) and is_input(text[: len(text) - n])]
        goes_on = prompts.bos is None or prompts.bos not in text[1:]
        assert prompts.is_input(text) == is_input(text)
        assert prompts.allows(text) == bool(ends and goes_on)
        places = np.array([prompts.vocabulary.ids(text)], dtype=np.int64).reshape(1, -1)
        assert prompts.allowed(places).tolist() == [prompts.allows(text)]
        assert prompts.inputs_among(places).tolist() == [is_input(text)]
        if prompts.allows(text):
            assert prompts.written(text) == ends[0]
            prompts.check_allowed(text)
        elif text:
            with pytest.raises(PromptError):
                prompts.check_allowed(text)


def test_where_a_text_begins_with_several_inputs_the_longest_counts():
    prompts = Prompts("ab", 6, inputs="a+", writes=3)
    assert [prompts.written(tuple(text)) for text in ("a", "aaa", "aab", "aaba")] == [0, 0, 1, 2]
    assert prompts.written(tuple("aaaaaa")) == 2  # an input of five leaves no room for three


def test_an_unwritten_prompt_has_nothing_written():
    for prompts in (Prompts("ab", 3), Prompts("ab", 3, inputs="[ab]+"), Prompts("ab", 3, bos="a")):
        assert prompts.written(("a", "b")) == 0


def test_what_the_program_did_not_write_is_reported_at_its_token():
    prompts = Prompts("ab=", 8, inputs="[ab]{2}=", writes=3)
    prompts.check_written("ab=", [])
    prompts.check_written("ab=ba", ["b", "a"])
    with pytest.raises(PromptError) as caught:
        prompts.check_written("ab=ba", ["b", "b"])
    assert caught.value.what == "'a' where the program writes 'b'"
    assert caught.value.where == "token 5 of 'ab=ba'"
    assert caught.value.fix == "leave out what is to be written"
