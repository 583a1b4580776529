"""Programs: what they mean, and everything that can be wrong with one."""

from __future__ import annotations

import warnings

import pytest

from handcraft import Program, Vocabulary, predict
from handcraft.errors import (
    HandcraftError,
    HandcraftWarning,
    ProgramError,
    RuleSyntaxError,
    SeveralErrors,
    VocabularyError,
)
from handcraft.language.patterns import coverage
from handcraft.language.rules.read_rules import UncoveredError

OTHERWISE = predict("a").otherwise()


def test_the_first_matching_rule_wins():
    first, second = predict("b").after("a"), predict("c").after("aa")
    assert Program("abc", 3, [second, first, OTHERWISE]).meaning("aa") == "c"
    assert Program("abc", 3, [second, first, OTHERWISE]).meaning("ba") == "b"
    with pytest.warns(HandcraftWarning):
        assert Program("abc", 3, [first, second, OTHERWISE]).meaning("aa") == "b"


def test_otherwise_applies_where_no_rule_matches():
    program = Program("ab", 3, [predict("b").after("aa"), OTHERWISE])
    assert [program.meaning(c) for c in ("a", "aa", "ab", "aab", "baa")] == ["a", "b", "a", "a", "b"]


def test_of_a_longer_text_only_the_last_tokens_count():
    program = Program("ab", 3, [predict("b").after("start aaa"), OTHERWISE])
    assert program.meaning("aa") == "a"
    assert program.meaning("aaa") == "b"
    assert program.meaning("bbaaa") == "b"
    assert program.meaning("aaab") == "a"


def test_an_anchored_rule_fires_only_where_the_context_begins():
    program = Program("ab", 4, [predict("b").after("start a"), OTHERWISE])
    assert [program.meaning(c) for c in ("a", "aa", "ba")] == ["b", "a", "a"]


def test_a_context_may_be_text_or_tokens():
    program = Program("the cat", 3, [predict("cat").after("the"), predict("the").otherwise()])
    assert program.meaning("cat the") == program.meaning(["cat", "the"]) == "cat"


def test_ids_go_in_and_an_id_comes_out():
    program = Program("ab", 3, [predict("b").after("aa"), OTHERWISE])
    assert program.next_token([0, 0]) == 1
    assert program.next_token((0, 1)) == 0


@pytest.mark.parametrize("context", ["", []])
def test_an_empty_prompt_is_refused(context):
    with pytest.raises(VocabularyError, match="the prompt is empty"):
        Program("ab", 3, [OTHERWISE]).meaning(context)


def test_an_unknown_token_in_a_prompt_is_refused():
    with pytest.raises(VocabularyError, match="'x' is not in the vocabulary"):
        Program("ab", 3, [OTHERWISE]).meaning("ax")


@pytest.mark.parametrize("context", [0, -1, True, "5", 2.5, None])
def test_a_context_that_is_no_positive_integer_is_refused(context):
    with pytest.raises(ProgramError, match="the context is"):
        Program("ab", context, [OTHERWISE])


def test_a_program_without_rules_is_refused():
    with pytest.raises(ProgramError, match="the program has no rules"):
        Program("ab", 3, [])


def test_text_instead_of_a_list_of_rules_is_refused():
    with pytest.raises(ProgramError, match="the rules are 'predict b after aa'"):
        Program("ab", 3, "predict b after aa")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (predict("b"), r"rule 1 is predict\('b'\), of type Prediction"),
        ("predict b after a", "rule 1 is 'predict b after a', of type str"),
        (predict(3).otherwise(), "rule 1 predicts 3, of type int"),
        (predict("a").after(3), "rule 1 has the pattern 3, of type int"),
        (predict("a").when("b"), "rule 1 has the condition 'b', of type str"),
    ],
)
def test_what_is_no_rule_is_named_with_its_number(rule, message):
    with pytest.raises(ProgramError, match=message):
        Program("ab", 3, [rule, OTHERWISE])


def test_everything_wrong_with_the_rules_is_reported_at_once_and_in_order():
    rules = [
        predict("x").after("aa"),
        predict("b").after("a]"),
        predict("b").after("y"),
        predict("b").after("aaaa"),
        OTHERWISE,
    ]
    with pytest.raises(SeveralErrors) as caught:
        Program("ab", 3, rules)
    problems = caught.value.problems
    assert [type(problem) for problem in problems] == [
        VocabularyError,
        RuleSyntaxError,
        VocabularyError,
        ProgramError,
    ]
    for rule, problem in zip(rules, problems, strict=False):
        assert problem.where == f"{rule.place}, {rule}"
        assert problem.fix
        assert str(problem) in str(caught.value)


def test_one_wrong_thing_is_raised_as_itself():
    with pytest.raises(VocabularyError):
        Program("ab", 3, [predict("x").otherwise()])


def test_faults_of_vocabulary_context_and_rules_are_reported_together():
    with pytest.raises(SeveralErrors) as caught:
        Program("aa", 0, [predict("x").otherwise()])
    text = str(caught.value)
    assert "twice" in text
    assert "the context is 0" in text


def test_a_pattern_longer_than_the_context_says_which_context_would_do():
    rules = [predict("b").after("a.a[ab]"), OTHERWISE]
    with pytest.raises(ProgramError, match="reads 4 tokens, but the context has 3") as caught:
        Program("ab", 3, rules)
    assert "context=4" in caught.value.fix
    assert Program("ab", 4, rules).reach == 4


def test_a_context_that_no_rule_covers_is_shown():
    with pytest.raises(UncoveredError, match="no rule says what to predict after 'b'") as caught:
        Program("ab", 3, [predict("b").after("a")])
    assert 'predict("a").otherwise()' in caught.value.fix
    assert __file__.rpartition("/")[2] in caught.value.where


def test_rules_may_cover_everything_without_an_otherwise():
    program = Program("ab", 3, [predict("b").after("a"), predict("a").after("[^a]")])
    assert program.meaning("ab") == "a"


def test_a_gap_of_one_length_only_is_found():
    rules = [predict("a").after("start ."), predict("b").after("...")]
    with pytest.raises(UncoveredError) as caught:
        Program("ab", 4, rules)
    shown = caught.value.what.split("'")[1]
    assert len(shown) == 2


def test_a_rule_hidden_by_one_other_names_that_one():
    rules = [predict("a").after("bb"), predict("b").after("a"), predict("c").after("[ab]a"), OTHERWISE]
    with pytest.warns(HandcraftWarning) as caught:
        Program("abc", 3, rules)
    assert [str(each.message) for each in caught] == [
        f"{rules[2].origin} can never fire: {rules[1].origin} comes first"
    ]


def test_a_rule_hidden_by_several_together_names_them():
    rules = [
        predict("b").after("aa"),
        predict("c").after("ba"),
        predict("b").after("start a"),
        predict("a").after("[ab]a"),
        OTHERWISE,
    ]
    with pytest.warns(HandcraftWarning) as caught:
        Program("abc", 3, rules)
    assert [str(each.message) for each in caught] == [
        f"{rules[3].origin} can never fire: {rules[0].origin} and {rules[1].origin} come first"
    ]


def test_every_hidden_rule_is_warned_of():
    rules = [OTHERWISE, predict("b").after("b"), predict("a").after("bb")]
    with pytest.warns(HandcraftWarning) as caught:
        Program("ab", 3, rules)
    assert [str(each.message) for each in caught] == [
        f"{rule.origin} can never fire: {OTHERWISE.origin} comes first" for rule in rules[1:]
    ]


def test_a_rule_that_can_never_fire_is_not_said_to_hide_another():
    rules = [predict("a").after("."), predict("b").after("b"), predict("b").otherwise()]
    with pytest.warns(HandcraftWarning) as caught:
        Program("ab", 3, rules)
    assert len(caught) == 2
    _, hiding = str(caught[1].message).split("can never fire: ")
    assert str(rules[0].origin) in hiding
    assert str(rules[1].origin) not in hiding


def test_the_warning_points_at_the_line_that_makes_the_program():
    with pytest.warns(HandcraftWarning) as caught:
        Program("ab", 3, [OTHERWISE, predict("b").after("b")])
    assert caught[0].filename == __file__


def test_an_anchored_rule_does_not_hide_the_same_rule_without_the_anchor():
    rules = [predict("b").after("start a"), predict("c").after("a"), OTHERWISE]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program = Program("abc", 3, rules)
    assert set(program.coverage.fired) == {0, 1, 2}


def test_a_rule_does_not_hide_one_that_is_shorter_or_wider():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Program("ab", 3, [predict("b").after("ba"), predict("a").after("[ab]a"), OTHERWISE])
        Program("ab", 3, [predict("b").after("aa"), predict("a").after("a"), predict("b").otherwise()])


def test_only_clauses_that_can_win_ever_fire():
    with pytest.warns(HandcraftWarning):
        program = Program("ab", 3, [predict("b").after("a"), predict("a").after("aa"), OTHERWISE])
    assert set(program.coverage.fired) == {0, 2}


def test_rules_that_take_too_long_to_decide_are_refused_unless_they_end_with_an_otherwise(monkeypatch):
    monkeypatch.setattr(coverage, "NODE_LIMIT", 1)
    entangled = [predict("b").after("a."), predict("a").after("b."), predict("b").after("start .")]
    with pytest.raises(UncoveredError, match="takes too long"):
        Program("ab", 3, entangled)
    program = Program("ab", 3, [*entangled, OTHERWISE])
    assert not program.coverage.is_complete


@pytest.mark.parametrize(
    ("rules", "reach"),
    [
        ([OTHERWISE], 0),
        ([predict("b").after("start a.a"), predict("b").after("aa"), OTHERWISE], 3),
    ],
)
def test_reach_is_the_length_of_the_longest_pattern(rules, reach):
    assert Program("ab", 5, rules).reach == reach


def test_a_program_shows_its_rules():
    program = Program("ab", 3, [predict("b").after("aa"), OTHERWISE])
    assert repr(program) == "Program('ab', 3, [predict('b').after('aa'), predict('a').otherwise()])"
    words = Program(Vocabulary("the cat"), 2, [predict("the").otherwise()])
    assert repr(words) == "Program('the cat', 2, [predict('the').otherwise()])"


def test_a_notebook_shows_the_rules_without_letting_tokens_be_markup():
    program = Program("<&", 2, [predict("<").after("&"), predict("&").otherwise()])
    html = program._repr_html_()
    assert "predict &lt; after &amp;" in html
    assert "<&" not in html


def test_every_error_of_a_program_has_the_three_parts():
    with pytest.raises(HandcraftError) as caught:
        Program("ab", 3, [predict("b").after("[")])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("RuleSyntaxError: ")
    assert lines[1].startswith("  where: ")
    assert lines[2].startswith("  fix:   ")
