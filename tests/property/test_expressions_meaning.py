"""What expressions mean: what they print makes them again, and they keep to their domains."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from handcraft import Expression, Program, Prompts, lookup, select, weighted, where, window
from handcraft.language.patterns.parse_pattern import parse_pattern
from handcraft.language.patterns.pattern import Pattern
from handcraft.testing import declared_prompts, expressions, sequence_programs

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def evaluated(text: str, prompts: Prompts) -> Expression:
    """The expression that a text makes, as if it were a program."""
    names = {
        "token": prompts.token,
        "position": prompts.position,
        "everything": prompts.everything,
        "lookup": lookup,
        "select": select,
        "weighted": weighted,
        "where": where,
        "window": window,
    }
    return eval(text, names)


@st.composite
def expressions_and_texts(draw, *, wide: bool = False, causal: bool = True):
    prompts = draw(declared_prompts(causal=causal))
    expression = draw(expressions(prompts, depth=draw(st.integers(0, 6)), wide=wide))
    token = st.sampled_from(prompts.vocabulary.tokens)
    texts = st.lists(token, min_size=1, max_size=prompts.context)
    return expression, draw(st.lists(texts, min_size=1, max_size=5))


@slow
@given(expressions_and_texts())
def test_what_an_expression_prints_makes_it_again(drawn):
    expression, texts = drawn
    assume("..." not in str(expression))  # what is long is shortened, for people
    again = evaluated(str(expression), expression.prompts)
    assert str(again) == str(expression)
    assert again.domain == expression.domain
    for text in texts:
        assert again.trace(text) == expression.trace(text)


@slow
@given(st.one_of(expressions_and_texts(), expressions_and_texts(wide=True)))
def test_every_value_lies_in_the_domain(drawn):
    expression, texts = drawn
    for text in texts:
        for value in expression.trace(text):
            assert value in expression.domain


@slow
@given(expressions_and_texts(causal=False))
def test_every_value_lies_in_the_domain_without_a_mask(drawn):
    expression, texts = drawn
    for text in texts:
        for value in expression.trace(text):
            assert value in expression.domain


@slow
@given(expressions_and_texts(wide=True))
def test_what_comes_later_changes_nothing_before(drawn):
    expression, texts = drawn
    for text in texts:
        whole = expression.trace(text)
        for length in range(1, len(text)):
            assert expression.trace(text[:length]) == whole[:length]


def meant(program: Program, context: list[str]) -> dict[str, Fraction]:
    """What the first rule says whose pattern and flag hold, each asked by itself."""
    vocabulary = program.vocabulary
    for rule in program.rules:
        pattern = Pattern() if rule.pattern is None else parse_pattern(rule.pattern, vocabulary)
        if not pattern.matches(vocabulary.ids(context)):
            continue
        if rule.flag is not None and not rule.flag.trace(context)[-1]:
            continue
        if isinstance(rule.answer, Mapping):
            return dict(rule.answer)
        answer = rule.answer if isinstance(rule.answer, str) else rule.answer.trace(context)[-1]
        return {answer: Fraction(1)}
    raise AssertionError("the last rule fires always")


@slow
@given(sequence_programs(), st.data())
def test_the_first_rule_that_matches_wins(program, data):
    token = st.sampled_from(program.vocabulary.tokens)
    for context in data.draw(st.lists(st.lists(token, min_size=1, max_size=8), min_size=1, max_size=5)):
        assert program.distribution(context) == meant(program, context[-program.context :])


@slow
@given(sequence_programs(), st.data())
def test_a_trace_is_the_meaning_of_every_prefix(program, data):
    token = st.sampled_from(program.vocabulary.tokens)
    text = data.draw(st.lists(token, min_size=1, max_size=program.context))
    traced = program.trace(text)
    for length in range(1, len(text) + 1):
        context = text[:length]
        shares = program.distribution(context)
        assert sum(shares.values()) == 1
        assert set(shares) <= set(program.vocabulary.tokens)
        assert program.meaning(context) == traced[length - 1]
        assert shares[traced[length - 1]] == max(shares.values())
