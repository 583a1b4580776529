"""Rules that read expressions, predict categories or predict distributions."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest

from handcraft import Program, Prompts, compile_program, predict
from handcraft.errors import (
    DomainError,
    HandcraftError,
    HandcraftWarning,
    ProgramError,
    SeveralErrors,
    VocabularyError,
)
from handcraft.language.rules.read_rules import UncoveredError

PROMPTS = Prompts("ab", context=5)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
OTHERWISE = predict("a").otherwise()


def program(*rules, prompts=PROMPTS):
    return Program(prompts=prompts, rules=[*rules, OTHERWISE])


def test_a_flag_says_when_a_rule_fires():
    late = program(predict("b").when(POSITION >= 2))
    assert late.trace("aaaa") == ("a", "a", "b", "b")
    assert late.meaning("aa") == "a"


def test_a_pattern_and_a_flag_must_both_hold_in_either_order():
    one = program(predict("b").after("aa").when(POSITION >= 3))
    other = program(predict("b").when(POSITION >= 3).after("aa"))
    for text in ("aa", "aaaa", "aaba", "bbaa"):
        assert one.meaning(text) == other.meaning(text) == ("b" if text in ("aaaa", "bbaa") else "a")


def test_a_category_is_predicted_with_its_value():
    copies = Program(prompts=PROMPTS, rules=[predict(TOKEN.at(-1, default="b")).otherwise()])
    assert copies.trace("abab") == ("b", "a", "b", "a")


def test_the_first_matching_rule_wins():
    rules = [predict("b").when(TOKEN == "a"), predict("a").after("a"), predict("b").after("bb")]
    assert program(*rules).trace("abb") == ("b", "a", "b")


def test_a_distribution_means_its_most_likely_token_and_keeps_every_probability():
    coin = Program("abc", 3, [predict({"c": 0.4, "b": 0.4, "a": 0.2}).after("a"), OTHERWISE])
    assert coin.meaning("a") == "b"
    assert coin.distribution("a") == {"a": Fraction(1, 5), "b": Fraction(2, 5), "c": Fraction(2, 5)}
    assert coin.distribution("b") == {"a": 1}
    assert not coin.has_only_patterns


def test_the_distribution_of_patterns_alone_is_certain():
    plain = Program("ab", 3, [predict("b").after("aa"), OTHERWISE])
    assert plain.distribution("aa") == {"b": 1}
    assert plain.has_only_patterns


def test_of_a_longer_text_only_the_last_tokens_count():
    late = program(predict("b").when(POSITION == 4))
    assert late.meaning("aaaaaaaaa") == "b"
    starts = program(predict("b").after("start aaaaa"))
    assert starts.meaning("bbaaaaa") == "b"


def test_ids_go_in_and_an_id_comes_out():
    assert program(predict("b").when(TOKEN == "a")).next_token((1, 0)) == 1


def test_without_a_mask_every_position_sees_the_whole_text():
    both = Prompts("ab", context=4, causal=False)
    ahead = Program(prompts=both, rules=[predict(both.token.at(1, default="a")).otherwise()])
    assert ahead.trace("abba") == ("b", "b", "a", "a")
    assert ahead.meaning("abba") == "a"


@pytest.mark.parametrize(
    "pattern", ["a", "ab", "start a", "start ab", ".", "..", "start .", "[ab]a", "a.b"]
)
def test_a_pattern_means_the_same_as_a_decision(pattern):
    rules = [predict("b").after(pattern), predict("a").otherwise()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        known, over = Program("ab", 5, rules), Program(prompts=PROMPTS, rules=rules)
    for n in range(1, 6):
        for i in range(2**n):
            text = f"{i:0{n}b}".replace("0", "a").replace("1", "b")
            assert known.meaning(text) == over.meaning(text)


def test_decisions_join_pattern_and_flag_and_end_with_one_that_is_always_true():
    first, last = program(predict("b").after("bb").when(POSITION >= 3)).decisions
    assert str(first.condition) == (
        "(token.at(-1) == 'b') & (token == 'b') & (position >= 1) & (position >= 3)"
    )
    assert str(first.answer) == "'b'"
    assert first.origin == first.rule.origin
    assert first.condition.place == first.rule.place
    assert last.condition is None


def test_a_pattern_whose_first_two_tokens_differ_needs_no_position():
    first, _ = program(predict("b").after("ab")).decisions
    assert str(first.condition) == "(token.at(-1) == 'a') & (token == 'b')"


def test_patterns_share_the_tokens_that_they_read():
    one, other, _ = program(predict("b").after("aa"), predict("b").after("ba")).decisions
    backs = [d.condition.children[0].children[0].children[0] for d in (one, other)]
    assert backs[0] is backs[1]


def test_decisions_are_there_for_patterns_alone():
    plain = Program("abc", 3, [predict("b").after("[ab]"), OTHERWISE])
    assert [str(d.condition) for d in plain.decisions] == ["token in ('a', 'b')", "None"]


def test_a_flag_that_is_always_true_ends_a_program():
    rules = [predict("b").when(TOKEN == "a"), predict("a").when(POSITION >= 0)]
    assert len(Program(prompts=PROMPTS, rules=rules).decisions) == 2


@pytest.mark.parametrize("last", [predict({"b": 1}).after("a"), predict("b").when(TOKEN == "a")])
def test_a_program_must_end_with_a_rule_that_is_sure_to_fire(last):
    with pytest.raises(UncoveredError, match="no rule is sure to fire") as caught:
        Program(prompts=PROMPTS, rules=[last])
    assert 'predict("a").otherwise()' in caught.value.fix


def test_a_rule_behind_one_that_always_fires_is_warned_of():
    rules = [OTHERWISE, predict("b").when(TOKEN == "a")]
    with pytest.warns(HandcraftWarning) as caught:
        made = Program(prompts=PROMPTS, rules=rules)
    assert str(caught[0].message) == (
        f"{rules[1].origin} can never fire: {OTHERWISE.origin} comes first"
    )
    assert caught[0].filename == __file__
    assert len(made.decisions) == 1


def test_a_rule_whose_condition_holds_nowhere_is_warned_of_and_left_out():
    with pytest.warns(HandcraftWarning, match="can never fire: its condition is never true"):
        made = program(predict("b").after("a").when((TOKEN == "a") & (TOKEN == "b")))
    assert len(made.decisions) == 1


def test_a_program_over_prompts_cannot_be_widened_and_reaches_its_whole_context():
    made = program(predict("b").when(TOKEN == "a"))
    assert made.reach == 5
    with pytest.raises(ProgramError, match="made for 5 tokens, not for 9"):
        made.widened(9)
    with pytest.raises(ProgramError, match="are patterns"):
        _ = made.clauses


def test_rules_read_as_they_are_written():
    rule = predict({"a": 0.25, "b": 0.75}).after("aa").when(TOKEN == "a")
    assert str(rule) == "predict a 1/4 b 3/4 after aa when token == 'a'"
    assert repr(rule) == "predict({'a': 0.25, 'b': 0.75}).after('aa').when(token == 'a')"
    assert str(predict(TOKEN).otherwise()) == "predict token otherwise"
    assert repr(program()) == "Program('ab', 5, [predict('a').otherwise()])"
    assert repr(program(predict(TOKEN).after("b"))).startswith("Program(prompts=Prompts('ab', 5), ")


def test_patterns_are_the_same_program_over_prompts_as_over_a_vocabulary():
    rules = [predict("b").after("aa"), OTHERWISE]
    over_prompts = Program(prompts=Prompts("ab", context=5), rules=rules)
    assert over_prompts.has_only_patterns
    one, other = compile_program(over_prompts), compile_program(Program("ab", 5, rules))
    assert dict(one.model.tensors).keys() == dict(other.model.tensors).keys()
    assert all(np.array_equal(t, other.model.tensors[name]) for name, t in one.model.tensors.items())
    assert not Program(prompts=Prompts("ab", context=5, bos="b"), rules=rules).has_only_patterns
    assert not Program(prompts=Prompts("ab", context=5, causal=False), rules=rules).has_only_patterns


def test_rules_are_equal_where_they_say_the_same():
    flag = TOKEN == "a"
    assert predict("b").when(flag).after("a") == predict("b").after("a").when(flag)
    assert predict({"a": 1}).otherwise() == predict({"a": 1.0}).otherwise()
    assert predict("b").when(flag) != predict("b").when(TOKEN == "b")
    assert len({predict(TOKEN).otherwise(), predict(TOKEN).otherwise()}) == 1


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        (lambda: predict({"a": 0.25, "b": 0.5}), ProgramError, "sum to 3/4, not to 1: 1/4 + 1/2"),
        (lambda: predict({}), ProgramError, "the distribution is empty"),
        (lambda: predict({"a": 0.5, "x": 0.5}), VocabularyError, "the distribution names 'x'"),
        (lambda: predict({"a": 0, "b": 1}), ProgramError, "the probability of 'a' is 0"),
        (lambda: predict({"a": -1, "b": 2}), ProgramError, "the probability of 'a' is -1"),
        (lambda: predict({"a": "1"}), ProgramError, "the probability of 'a' is '1', of type str"),
        (lambda: predict({"a": True}), ProgramError, "the probability of 'a' is True, of type bool"),
        (lambda: predict(TOKEN.map({"a": "b", "b": "x"})), VocabularyError, "which may be 'x'"),
        (lambda: predict(POSITION), DomainError, "predicts `position`, a number"),
        (lambda: predict(TOKEN == "a"), DomainError, "a flag"),
    ],
)
def test_an_answer_that_is_none_is_refused(rule, error, message):
    made = rule().after("a")
    with pytest.raises(error) as caught:
        program(made)
    assert message in caught.value.what
    assert caught.value.where == f"{made.place}, {made}"
    assert caught.value.fix


def test_for_rounded_thirds_exact_fractions_are_advised():
    with pytest.raises(ProgramError) as caught:
        program(predict({"a": 1 / 3, "b": 2 / 3 - 1e-12}).after("a"))
    assert caught.value.fix == "write exact fractions: 'a': Fraction(1, 3), 'b': Fraction(2, 3)"


def test_a_distribution_cannot_be_changed_from_outside():
    shares = {"a": 0.5, "b": 0.5}
    made = program(predict(shares).after("a"))
    shares["a"] = 3
    assert made.distribution("a") == {"a": Fraction(1, 2), "b": Fraction(1, 2)}


def test_a_condition_that_is_no_flag_is_refused():
    with pytest.raises(
        DomainError, match="the condition of the rule is `position`, a number"
    ) as caught:
        program(predict("b").when(POSITION))
    assert "position == ..." in caught.value.fix


def test_expressions_over_other_prompts_are_refused():
    other = Prompts("ab", context=5)
    with pytest.raises(SeveralErrors) as caught:
        program(predict(other.token).when(other.token == "a"))
    assert [p.what.split(":")[0] for p in caught.value.problems] == [
        "`token` belongs to other prompts",
        "`token == 'a'` belongs to other prompts",
    ]


def test_for_expressions_in_a_program_without_prompts_the_fix_is_advised():
    with pytest.raises(ProgramError, match="the program has no prompts") as caught:
        Program("ab", 5, [predict("b").when(TOKEN == "a"), OTHERWISE])
    assert "Program(prompts=" in caught.value.fix


def test_everything_wrong_is_reported_at_once_and_in_order():
    rules = [predict("x").after("y").when(POSITION), predict({"a": 2}).after("aaaaaa")]
    with pytest.raises(SeveralErrors) as caught:
        program(*rules)
    assert [type(p) for p in caught.value.problems] == [
        VocabularyError,
        VocabularyError,
        DomainError,
        ProgramError,
        ProgramError,
    ]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: predict("b").after("a").after("b"), "a second `.after()`"),
        (lambda: predict("b").when(TOKEN == "a").when(TOKEN == "b"), "a second `.when()`"),
        (lambda: predict("b").otherwise().when(TOKEN == "a"), "after otherwise()"),
        (lambda: predict("b").otherwise().after("a"), "after otherwise()"),
    ],
)
def test_a_rule_says_each_thing_once(write, message):
    with pytest.raises(ProgramError) as caught:
        write()
    assert message in caught.value.what
    assert caught.value.where.startswith(__file__) or "test_rules_with" in caught.value.where


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Program(PROMPTS, [OTHERWISE]), "prompts in place of a vocabulary"),
        (lambda: Program("ab", 3, [OTHERWISE], prompts=PROMPTS), "besides its prompts"),
        (lambda: Program(prompts="ab", rules=[OTHERWISE]), "'ab' for prompts"),
        (lambda: Program(rules=[OTHERWISE]), "the program has no vocabulary"),
    ],
)
def test_a_program_is_made_from_a_vocabulary_or_from_prompts(make, message):
    with pytest.raises(HandcraftError) as caught:
        make()
    assert message in str(caught.value)
    assert "Program(prompts=" in str(caught.value)


def test_a_text_to_trace_fits_the_context():
    for made in (program(), Program("ab", 5, [OTHERWISE])):
        with pytest.raises(ProgramError, match="a text of 6 tokens for a context of 5"):
            made.trace("aaaaaa")


def test_a_text_that_breaks_an_assumption_is_refused():
    assumed = TOKEN.at(-1, default="a").assume(["a"])
    made = program(predict(assumed).when(POSITION >= 1))
    assert made.meaning("aa") == "a"
    with pytest.raises(ProgramError, match="is assumed"):
        made.meaning("bb")
