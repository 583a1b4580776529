"""`prompts`: only allowed prompts are made, rules fire in them, and they shrink to short ones."""

from __future__ import annotations

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from handcraft import BLOCK, Program, Prompts, compile_program, predict, save
from handcraft.testing import prompts, rule_programs
from handcraft.testing.rule_cases import rule_cases

LETTERS = "abcdefghijklmnopqrstuvwxyz"
QUIET = settings(database=None, max_examples=2_000, deadline=None)


def shortest(strategy, condition):
    return find(strategy, condition, settings=QUIET)


@given(data=st.data(), program=rule_programs())
def test_prompts_of_a_program_have_a_meaning(data, program):
    text = data.draw(prompts(program))
    assert 0 < len(program.vocabulary.split(text)) <= program.context
    assert program.meaning(text) in program.vocabulary


GRAMMARS = [
    Prompts("ab=", context=9, inputs="[ab]+=[ab]*"),
    Prompts("ab=", context=6, inputs="[ab]{3}=", writes=3),
    Prompts("ab^", context=5, bos="^"),
    Prompts("ab^", context=7, bos="^", inputs="\\^(ab)+"),
    Prompts(["the", "cat", "sat"], context=4, inputs="the( cat)+"),
    Prompts("ab", context=5, inputs=st.text("ab", min_size=2, max_size=4)),
]


@given(data=st.data(), grammar=st.sampled_from(GRAMMARS))
def test_prompts_that_are_made_are_allowed(data, grammar):
    program = Program(prompts=grammar, rules=[predict(grammar.token).otherwise()])
    text = data.draw(prompts(data.draw(st.sampled_from([grammar, program]))))
    assert grammar.allows(text)
    assert program.meaning(text)  # which also checks what the program wrote itself


def test_what_is_written_is_made_too():
    grammar = GRAMMARS[1]
    program = Program(prompts=grammar, rules=[predict(grammar.token.at(-3, default="=")).otherwise()])
    assert shortest(prompts(program), lambda text: len(text) == 6) == "aaa=aa"


def test_prompts_shrink_to_short_ones_of_early_tokens():
    free = prompts(Prompts("abc", context=12))
    assert shortest(free, lambda text: True) == "a"
    assert shortest(free, lambda text: text.count("b") > 2) == "bbb"
    restricted = prompts(Prompts("abc=", context=12, inputs="[abc]+=[abc]+"))
    assert shortest(restricted, lambda text: True) == "a=a"
    assert shortest(restricted, lambda text: "c" in text.partition("=")[2]) == "a=c"


def test_what_rules_search_for_occurs():
    rules = [predict("z").after("word"), predict("y").after("start [xyz]"), predict("a").otherwise()]
    program = Program(LETTERS, 8, rules)
    assert shortest(prompts(program), lambda text: program.meaning(text) == "z") == "word"
    assert shortest(prompts(program), lambda text: program.meaning(text) == "y") == "x"


def test_every_kind_of_thing_has_prompts(tmp_path):
    program = Program("ab", 3, [predict("b").after("aa"), predict("a").otherwise()])
    compiled = compile_program(program, architecture=BLOCK)
    save(compiled, tmp_path / "aab")
    for thing in (program, program.prompts, compiled, compiled.model, tmp_path / "aab"):
        assert len(shortest(prompts(thing), lambda text: len(text) > 2)) == 3
        with pytest.raises(NoSuchExample):
            shortest(prompts(thing, longest=2), lambda text: len(text) > 2)
    constant = prompts(lambda ids: [1, 0], vocabulary="ab", longest=4)
    assert shortest(constant, lambda text: len(text) > 3) == "aaaa"


def test_a_rule_has_the_prompts_where_it_decides():
    program = Program("ab", 3, [predict("b").after("aa"), predict("a").otherwise()])
    first, last = rule_cases(program)
    assert shortest(prompts(first), lambda text: True) == "aa"
    assert shortest(prompts(last), lambda text: len(text) > 1) == "ab"
