"""A test line for each rule: their names, and prompts after which the rule decides."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings

from handcraft import BLOCK, Program, Prompts, compile_program, predict, save
from handcraft.errors import HandcraftWarning, ModelError, PromptError
from handcraft.testing import Disagreement, assert_means, parametrize, rule_programs
from handcraft.testing.rule_cases import LONGEST, ids_of, rule_cases

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


@AAB.parametrize()
def test_a_test_gets_a_rule_and_its_prompts(rule):
    assert rule.examples[0] == {"predict b after aa": ("aa", "b")}.get(str(rule), ("a", "a"))
    assert all(AAB.meaning(prompt) == meant for prompt, meant in rule.examples)
    assert assert_means(AAB, rule).tried == {0: 15, 1: 47}[rule.number]


@compile_program(AAB).parametrize("case")
def test_the_argument_can_have_another_name(case):
    assert str(case) in ("predict b after aa", "predict a otherwise")


def test_the_mark_has_a_name_for_each_rule(tmp_path):
    compiled = compile_program(AAB, architecture=BLOCK)
    save(compiled, tmp_path / "aab")
    for of in (AAB, compiled, tmp_path / "aab", str(tmp_path / "aab")):
        mark = parametrize(of).mark
        assert mark.kwargs["ids"] == ["predict b after aa", "predict a otherwise"]
    with pytest.raises(ModelError, match="there are no rules to test"):
        parametrize(compile_program(compiled.circuits))


def test_names_are_short_and_different():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        same = [predict("a").after("b"), predict("a").after("b"), predict("a").after("b" * 60)]
        longer = predict("a").after("bb" + "b" * 60)
        program = Program("ab", 80, [*same, longer, predict("a").otherwise()])
    ids = ids_of(rule_cases(program))
    assert len(set(ids)) == len(ids)
    assert ids[0] == "predict a after b (rule 1)"
    assert ids[4] == "predict a otherwise"
    assert max(map(len, ids)) <= LONGEST + len(" (rule 10)")


@given(program=rule_programs(max_context=4))
@settings(max_examples=30)
def test_the_prompts_of_the_rules_are_all_prompts(program):
    found = [prompt for case in rule_cases(program) for prompt in case._shared.found[case.number]]
    size = len(program.vocabulary)
    assert len(found) == len(set(found))
    assert len(found) <= sum(size**n for n in range(1, program.context + 1))
    for case in rule_cases(program):
        for prompt, (meant, _) in case._shared.found[case.number].items():
            assert program.meaning(prompt) == meant
            states = [outcome.state for outcome in program.judged(prompt).outcomes]
            assert states[case.number] == "fires"


def test_only_the_prompts_of_the_rule_are_compared():
    wrong = Program("ab", 5, [predict("a").otherwise()])
    first, last = rule_cases(AAB)
    assert assert_means(wrong, last).tried == 47
    with pytest.raises(Disagreement, match="after 'aa' the model answers 'a'") as caught:
        assert_means(wrong, first)
    assert (caught.value.tried, caught.value.failed) == (15, 15)


def test_rules_that_decide_within_what_is_written_are_tested():
    prompts = Prompts("ab=", context=6, inputs="[ab]{2}=", writes=2)
    again = predict(prompts.token.at(-2, default="=")).otherwise()
    program = Program(prompts=prompts, rules=[predict("b").after("=a"), again])
    first, _ = rule_cases(program)
    assert first.prompts == ("aa=a", "ab=a")
    assert assert_means(compile_program(program), first).tried == 2


def test_a_rule_that_never_decides_is_named():
    with pytest.warns(HandcraftWarning):
        program = Program("ab", 3, [predict("b").otherwise(), predict("a").after("b")])
    case = rule_cases(program)[1]
    with pytest.raises(
        PromptError, match="no prompt was found after which `predict a after b` decides"
    ):
        assert_means(program, case)


def test_prompts_are_found_when_the_test_runs_and_once():
    cases = rule_cases(AAB)
    assert "found" not in vars(cases[0]._shared)
    assert cases[0].prompts
    assert cases[0]._shared is cases[1]._shared
    assert "found" in vars(cases[1]._shared)
