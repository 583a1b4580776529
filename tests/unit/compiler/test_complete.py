"""Text that continues a prompt, where the prompts say which texts are allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies

from handcraft import Program, Prompts, compile_program, complete, predict
from handcraft.errors import PromptError
from handcraft.model import grow


@pytest.fixture(scope="module")
def letters():
    """A model that copies the last letter but one."""
    prompts = Prompts("abc", 5)
    there = prompts.token.at(-1, default="c")
    return compile_program(Program(prompts=prompts, rules=[predict(there).otherwise()])).model


@pytest.fixture(scope="module")
def halves():
    """A model that copies two letters, and the texts that it is made for."""
    prompts = Prompts("ab=", context=5, inputs="[ab]{2}=[ab]?")
    there = prompts.token.at(-2, default="a")
    program = Program(prompts=prompts, rules=[predict(there).otherwise()])
    return compile_program(program).model, prompts


def test_a_text_is_continued_as_long_as_it_is_allowed(halves):
    model, prompts = halves
    assert complete(model, "ab=", prompts=prompts) == "ab"
    assert complete(model, "ab=a", prompts=prompts) == "b"
    assert complete(model, "ab=", 1, prompts=prompts) == "a"
    assert complete(model, "ab=", 0, prompts=prompts) == ""
    assert complete(model, "ab=", 9, prompts=prompts) == "ab"


def test_a_refused_prompt_is_not_continued(halves):
    model, prompts = halves
    for n in (None, 0, 3):
        with pytest.raises(PromptError, match="token 3 of 'abb='"):
            complete(model, "abb=", n, prompts=prompts)


def test_a_model_alone_knows_no_allowed_prompts(halves):
    model, _ = halves
    assert len(complete(model, "abb=")) == 10
    assert complete(model, "ab=", 4) == "ab=a"


def test_prompts_of_which_nothing_is_known_change_nothing(letters):
    for prompts in (Prompts("abc", 5), Prompts("abc", 5, inputs=strategies.text("a"))):
        assert complete(letters, "abcabca", prompts=prompts) == complete(letters, "abcabca")
        assert complete(letters, "ab", 3, prompts=prompts) == complete(letters, "ab", 3)


def test_a_text_that_is_always_allowed_ends_one_token_after_the_context(letters):
    prompts = Prompts("abc", 5, inputs="[abc]+")
    assert complete(letters, "ab", prompts=prompts) == complete(letters, "ab", 4)


def test_sampled_text_ends_with_the_allowed_ones_too(halves):
    model, prompts = halves
    said = {complete(model, "ab=", temperature=50.0, seed=seed, prompts=prompts) for seed in range(40)}
    assert {len(text) for text in said} == {1, 2}  # `=` is sampled too, and no text goes on after it
    assert all(len(text) == 1 for text in said if text[0] == "=")


@pytest.fixture(scope="module")
def thrice():
    """A model that copies three letters, and is not made for texts that are no copies."""
    prompts = Prompts("ab=", context=9, inputs="[ab]{3}=", writes=3)
    there = prompts.token.at(-3, default="a").assume("ab")
    program = Program(prompts=prompts, rules=[predict(there).otherwise()])
    return compile_program(program).model, prompts


@pytest.mark.parametrize("written", ["", "a", "ab"])
def test_an_answer_goes_on_until_it_is_whole(thrice, written):
    """There is room in the context for more."""
    model, prompts = thrice
    rest = "abb"[len(written) :]
    assert complete(model, f"abb={written}", prompts=prompts) == rest
    assert complete(model, f"abb={written}", 1, prompts=prompts) == rest[:1]
    assert complete(model, f"abb={written}", 9, prompts=prompts) == rest


@pytest.mark.parametrize(
    ("prompt", "token", "wanted"), [("abb=b", 5, "a"), ("abb=aa", 6, "b"), ("abb=bb", 5, "a")]
)
def test_an_answer_that_the_model_would_not_have_begun_is_refused(thrice, prompt, token, wanted):
    model, prompts = thrice
    for n in (None, 0, 3):
        with pytest.raises(PromptError) as caught:
            complete(model, prompt, n, prompts=prompts)
        assert caught.value.what == f"{prompt[token - 1]!r} where the program writes {wanted!r}"
        assert caught.value.where == f"token {token} of {prompt!r}"


def test_an_answer_that_is_whole_is_no_prompt(thrice):
    model, prompts = thrice
    with pytest.raises(PromptError, match="'b' is not allowed here; expected the end of the prompt"):
        complete(model, "abb=abb", prompts=prompts)


def test_ids_of_tokens_need_not_be_their_places(thrice):
    model, prompts = thrice
    larger = grow(model, replace(model.shape, n_vocab=80), ids=[70, 9, 12])
    assert complete(larger, "abb=a", prompts=prompts) == "bb"
    with pytest.raises(PromptError, match="'b' where the program writes 'a'"):
        complete(larger, "abb=b", prompts=prompts)


def test_what_a_model_writes_may_be_an_input_again():
    """Then it is answered as any other, as long as there is room for its answer."""
    prompts = Prompts("ab", context=6, inputs="a+", writes=2)
    program = Program(prompts=prompts, rules=[predict("a").otherwise()])
    model = compile_program(program, architecture="block").model
    assert complete(model, "aa", prompts=prompts) == "aaaaa"  # 5 are an input, and the sixth its answer
    other = Program(prompts=prompts, rules=[predict("b").otherwise()])
    model = compile_program(other, architecture="block").model
    assert complete(model, "aa", prompts=prompts) == "bb"
    with pytest.raises(PromptError, match="'a' where the program writes 'b'"):
        complete(model, "aaaaaa", prompts=prompts)
