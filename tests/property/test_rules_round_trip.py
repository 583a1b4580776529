"""Rules written as text and read again are the same rules."""

from __future__ import annotations

import warnings

from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program, parse_rules, predict
from handcraft.errors import HandcraftWarning
from handcraft.language import write_rules
from handcraft.language.patterns.pattern import escape
from handcraft.testing import contexts, rule_programs


def again(text: str) -> Program:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        return parse_rules(text)


def facts(program: Program) -> tuple:
    return (
        program.vocabulary,
        program.context,
        [(clause.token, clause.pattern) for clause in program.clauses],
    )


@given(rule_programs(max_tokens=10, max_pattern=6), st.data())
def test_a_program_written_and_read_is_the_same_program(program, data):
    read = again(write_rules(program))
    assert facts(read) == facts(program)
    for context in data.draw(st.lists(contexts(program), max_size=10)):
        assert read.meaning(context) == program.meaning(context)


@given(rule_programs(max_tokens=10))
def test_what_is_written_stays_as_it_is(program):
    written = write_rules(program)
    assert write_rules(again(written)) == written


@given(rule_programs(max_tokens=10))
def test_rules_as_their_author_wrote_them_read_back_too(program):
    lines = [f"vocabulary {program.vocabulary}".replace(" start", " \\start")]
    lines.append(f"context {program.context}")
    lines += [str(rule) for rule in program.rules]
    assert facts(again("\n".join(lines))) == facts(program)


ODD = st.sampled_from([*"ab.[]^\\#", "start", "otherwise", "after", "#c", "[x]", "a\\b", "é"])


@given(st.lists(ODD, min_size=1, max_size=8, unique=True), st.integers(1, 20))
def test_any_token_without_a_blank_can_be_written(tokens, context):
    source = Program(tokens, context, [predict(t).after(escape(t)) for t in tokens])
    read = again(write_rules(source))
    assert facts(read) == facts(source)
