"""Texts that are no allowed prompts: where they leave the allowed ones, and what is said of it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import strategies as st

from handcraft import Program, Prompts, predict
from handcraft.errors import PromptError

LETTERS = [
    ("ab", 4, "(ab)+", None),
    ("ab", 4, "a[ab]*b|b", None),
    ("abc", 3, "c{2,}|[ab]c?", None),
    ("ab", 4, ".*", "b"),
    ("abc", 4, "c(ab)*a?", "c"),
    ("abc", 4, "[abc]*b[abc]*", "a"),
    ("ab", 3, "aaaa+|b", None),
    ("ab", 3, "(a|b){0,2}", None),
    ("ab", 3, "", None),
]
WORDS = [
    (["a", "ab", "b"], 3, "a( ab)*( b)?", None),
    (["<s>", "a", "b"], 3, "<s>( a)*", "<s>"),
    (["1", "11", "+"], 3, r"\d\d? [+] \d\d?", None),
]


@pytest.mark.parametrize("case", [*LETTERS, *WORDS], ids=lambda case: f"{case[2]}, bos {case[3]}")
def test_a_text_is_followed_as_far_as_some_allowed_text_begins_so(case):
    tokens, context, pattern, bos = case
    prompts = Prompts(tokens, context, inputs=pattern, bos=bos)
    known = prompts.vocabulary.tokens
    texts = [text for n in range(context + 1) for text in product(known, repeat=n)]
    allowed = [text for text in texts if text and prompts.allows(text)]
    walked = prompts.texts
    for text in [*texts, *product(known, repeat=context + 1)]:
        place, following, ending = walked.begun(text)
        begun = [n for n in range(len(text) + 1) if any(t[:n] == text[:n] for t in allowed)]
        assert place == max(begun, default=0)
        longer = [t for t in allowed if t[:place] == text[:place]]
        assert set(following) == {t[place] for t in longer if len(t) > place}
        if longer:
            assert len(ending) == min(map(len, longer)) - place
            assert text[:place] + ending in allowed


def refused(prompts: Prompts, text: object) -> PromptError:
    """The error of a text that is no allowed prompt."""
    assert not prompts.allows(tuple(text))
    with pytest.raises(PromptError) as caught:
        prompts.check_allowed(text)
    return caught.value


ADD = Prompts("01+=", context=8, inputs=r"=[01]{2}\+[01]{2}=[01]?")


def test_an_allowed_prompt_passes():
    ADD.check_allowed("=01+11=")
    ADD.check_allowed(["=", "0", "1", "+", "1", "1", "=", "0"])


def test_an_operand_that_is_too_long_is_reported_at_its_first_token_too_many():
    error = refused(ADD, "=011+11=")
    assert error.what == "'1' is not allowed here; expected '+'"
    assert error.where == "token 4 of '=011+11='"
    assert error.fix == r"allowed prompts match =[01]{2}\+[01]{2}=[01]?, for example '=01+00='"


def test_an_operand_that_is_too_short_is_reported_where_it_ends():
    error = refused(ADD, "=0+11=")
    assert error.what == "'+' is not allowed here; expected one of 0 1"
    assert error.where == "token 3 of '=0+11='"


def test_for_an_incomplete_prompt_continuations_are_listed():
    error = refused(ADD, "=01+")
    assert error.what == "'=01+' is only the beginning of an allowed prompt"
    assert error.fix.endswith("for example '=01+00='")


def test_a_prompt_that_goes_on_too_long_is_reported_where_it_should_end():
    question = Prompts("ab=", context=9, inputs="[ab]{1,2}=")
    error = refused(question, "ab=a")
    assert (error.what, error.where) == (
        "'a' is not allowed here; expected the end of the prompt",
        "token 4 of 'ab=a'",
    )
    assert error.fix.endswith("for example 'ab='")


def test_a_prompt_longer_than_the_context_is_reported_with_both_lengths():
    error = refused(Prompts("ab", context=3, inputs="[ab]+"), "abab")
    assert error.what == "allowed prompts have at most 3 tokens, and this one has 4"
    assert error.where == "token 4 of 'abab'"
    assert error.fix == "allowed prompts match [ab]+, for example 'aba'"


def test_a_prompt_that_can_no_longer_end_is_reported_where_it_should_have():
    error = refused(Prompts("ab", context=4, inputs="a*bb"), "aaab")
    assert (error.what, error.where) == ("'a' is not allowed here; expected 'b'", "token 3 of 'aaab'")


def test_the_first_token_is_reported():
    prompts = Prompts("^ab", context=4, bos="^")
    assert refused(prompts, "ab").what == "'a' is not allowed here; expected '^'"
    twice = refused(prompts, "^a^")
    assert twice.what == "'^' is not allowed here; expected one of a b"
    assert twice.fix == "allowed prompts begin with '^' and contain it nowhere else, for example '^a'"
    both = refused(Prompts("<ab", context=4, inputs="<a*", bos="<"), "<b")
    assert (
        both.fix
        == "allowed prompts match <a* and begin with '<' and contain it nowhere else, for example '<'"
    )


def test_words_are_reported_as_words():
    prompts = Prompts("the cat sat", context=5, inputs="the( cat)?")
    error = refused(prompts, ["the", "sat"])
    assert error.what == "'sat' is not allowed here; expected 'cat'"
    assert error.where == "token 2 of 'the sat'"


def test_a_long_example_is_left_out():
    prompts = Prompts("ab", context=200, inputs="[ab]{150}")
    assert refused(prompts, "ab").fix == "allowed prompts match [ab]{150}"


def test_a_text_that_breaks_a_lookahead_is_reported_where():
    prompts = Prompts("123", context=3, inputs=r"(([123])(?!.*\2))*")
    assert prompts.allows("312")
    error = refused(prompts, "311")
    assert error.what == "'1' is not allowed here; expected '2'"
    assert error.fix == r"allowed prompts match (([123])(?!.*\2))*, for example '31'"
    assert refused(prompts, "3123").what == "allowed prompts have at most 3 tokens, and this one has 4"


def test_where_no_prompt_is_allowed_the_error_says_so():
    prompts = Prompts("ab", context=3, inputs="c+")
    assert refused(prompts, "ab").what == "no text of up to 3 tokens is an allowed prompt"


def test_of_a_strategy_nothing_is_known_but_the_first_token():
    prompts = Prompts("ab", context=3, inputs=st.text("a"))
    assert not prompts.refuses_some
    assert prompts.allows("bbbbb")
    prompts.check_allowed("bbbbb")
    begun = Prompts("ab", context=3, inputs=st.text("ab"), bos="a")
    assert begun.refuses_some
    assert refused(begun, "bb").what == "'b' is not allowed here; expected 'a'"


def test_a_program_means_nothing_after_a_prompt_that_is_not_allowed():
    program = Program(prompts=ADD, rules=[predict("0").otherwise()])
    assert program.meaning("=01+11=") == "0"
    assert program.distribution("=01+11=0") == {"0": 1}
    for ask in (program.meaning, program.distribution):
        with pytest.raises(PromptError, match="token 4 of '=011'"):
            ask("=011")
    assert program.trace("=011") == ("0",) * 4


def test_a_text_past_the_context_is_allowed_where_all_are_and_refused_where_some_are():
    free = Program(prompts=Prompts("ab", context=3), rules=[predict("b").otherwise()])
    assert free.meaning("ababab") == "b"
    prompts = Prompts("ab", context=3, inputs="[ab]*")
    with pytest.raises(PromptError, match="at most 3 tokens, and this one has 6"):
        Program(prompts=prompts, rules=[predict("b").otherwise()]).meaning("ababab")


# --- what a program writes itself --------------------------------------------------------------

SUM = Prompts("01+=", context=10, inputs=r"=[01]{2}\+[01]{2}=", writes=3)


def test_an_input_is_distinguished_from_what_is_written_after_it():
    error = refused(SUM, "=011+11=")
    assert (error.what, error.where) == (
        "'1' is not allowed here; expected '+'",
        "token 4 of '=011+11='",
    )
    assert error.fix == (
        r"allowed prompts match =[01]{2}\+[01]{2}= and go on with up to 2 tokens that the program "
        "writes, for example '=01+00='"
    )
    assert refused(SUM, "=01+").what == "'=01+' is only the beginning of an allowed prompt"


def test_a_whole_answer_is_reported_at_its_last_token():
    for text in ("=01+11=001", "=01+11=0011"):
        error = refused(SUM, text)
        assert (error.what, error.where) == (
            "'1' is not allowed here; expected the end of the prompt",
            f"token 10 of '{text}'",
        )
        assert error.fix.endswith("for example '=01+11='")


def test_a_whole_answer_that_fills_the_context_is_reported_with_its_length():
    error = refused(Prompts("ab=", context=4, inputs="[ab]=", writes=3), "a=baa")
    assert error.what == "allowed prompts have at most 4 tokens, and this one has 5"


def test_an_input_too_long_for_its_answer_is_reported_where_it_should_end():
    prompts = Prompts("ab=", context=6, inputs="a+=", writes=3)
    assert prompts.allows(tuple("aaa="))
    error = refused(prompts, "aaaa=")
    assert (error.what, error.where) == (
        "'a' is not allowed here; expected '='",
        "token 4 of 'aaaa='",
    )
    none = refused(Prompts("ab", context=3, inputs="a{3}", writes=2), "aaa")
    assert none.what == "no text of up to 2 tokens is an allowed prompt"


def test_a_longer_text_is_reported_as_an_input_or_its_answer():
    prompts = Prompts("ab=", context=9, inputs="a|aaaaa=", writes=2)
    assert refused(prompts, "abb").what == "'b' is not allowed here; expected the end of the prompt"
    error = refused(prompts, "aaaab=")
    assert (error.what, error.where) == (
        "'b' is not allowed here; expected 'a'",
        "token 5 of 'aaaab='",
    )


def test_a_first_token_is_not_written():
    prompts = Prompts("<ab", context=6, inputs="<a", bos="<", writes=3)
    error = refused(prompts, "<ab<")
    assert error.what == "'<' is not allowed here; expected one of a b"
    assert error.fix == (
        "allowed prompts match <a and begin with '<' and contain it nowhere else and go on with "
        "up to 2 tokens that the program writes, for example '<a'"
    )


def test_a_backreference_in_the_input_is_reported_within_the_answer():
    prompts = Prompts("12", context=5, inputs=r"([12])\1", writes=2)
    assert refused(prompts, "1121").where == "token 4 of '1121'"
    error = refused(prompts, "12")
    assert error.what == "'2' is not allowed here; expected '1'"
    assert error.fix.endswith("go on with a token that the program writes, for example '11'")


def test_a_program_means_nothing_after_what_it_would_not_have_written():
    prompts = Prompts("ab=", context=8, inputs="[ab]{3}=", writes=3)
    program = Program(
        prompts=prompts, rules=[predict(prompts.token.at(-3, default="a").assume("ab")).otherwise()]
    )
    assert [program.meaning(text) for text in ("abb=", "abb=a", "abb=ab")] == ["a", "b", "b"]
    for ask in (program.meaning, program.distribution):
        with pytest.raises(PromptError) as caught:
            ask("abb=ba")
        assert caught.value.what == "'b' where the program writes 'a'"
        assert caught.value.where == "token 5 of 'abb=ba'"
