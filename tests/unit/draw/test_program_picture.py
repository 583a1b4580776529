"""The picture of a program: its values and rules in the order of the source."""

from __future__ import annotations

import runpy

import pytest
from gallery import facts
from svg_texts import texts_of, unreadable

from handcraft import Program, Prompts, predict, select
from handcraft.draw import program_picture
from handcraft.draw.canvas.lanes import MOST_LANES
from handcraft.errors import DrawError


def words(picture) -> list[str]:
    return [text.words for text in texts_of(picture.svg)[0]]


def test_values_come_before_what_reads_them_and_rules_last():
    texts, _, _ = texts_of(program_picture(facts("induction")["program"]).svg)
    tops = {text.words: text.top for text in texts}
    places = [
        tops[each] for each in ("input: token", next(t for t in tops if t.startswith("rule 1: ")))
    ]
    assert places == sorted(places)
    assert any(text.startswith("attends to the latest position where") for text in tops)


def test_patterns_are_rules_that_read_earlier_tokens():
    shown = words(Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()]).draw())
    assert "rule 1: predict b after aa" in shown
    assert "rule 2: predict a otherwise" in shown
    assert "token.at(-1)" in shown


def test_steps_between_values_have_no_box():
    prompts = Prompts("abc", context=8)
    token = prompts.token
    flag = (token == "a") | (token == "b")
    program = Program(prompts=prompts, rules=[predict("a").when(~flag), predict("b").otherwise()])
    shown = words(program.draw())
    boxes = [text for text in shown if text.startswith(("input", "rule"))]
    assert len(boxes) == 3


def test_one_rule_is_drawn_with_what_it_reads():
    prompts = Prompts("abc", context=8)
    first, second = prompts.token.at(-1, default="a"), prompts.token.at(-2, default="a")
    rules = [
        predict("a").when(first == "b"),
        predict("b").when(second == "c"),
        predict("c").otherwise(),
    ]
    program = Program(prompts=prompts, rules=rules)
    shown = " ".join(words(program.draw(rule=1)))
    assert "predict a when" in shown
    assert "predict b when" not in shown
    assert "position + -2" not in shown


def test_a_rule_that_is_not_there_is_an_error():
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    with pytest.raises(DrawError, match="there is no rule 3 that can fire") as refused:
        program.draw(rule=3)
    assert refused.value.fix == "give a number from 1 to 2, or the text of a rule"


def test_more_values_than_lanes_fit_are_named_in_the_boxes_that_read_them():
    prompts = Prompts("ab", context=40)
    token = prompts.token
    many = [token.at(-i, default="a") for i in range(1, 2 * MOST_LANES)]
    together = sum(value == "a" for value in many)
    program = Program(
        prompts=prompts, rules=[predict("a").when(together > 3), predict("b").otherwise()]
    )
    picture = program.draw()
    assert unreadable(picture.svg) == []
    assert any("also reads: " in text for text in words(picture))


def test_hundreds_of_rules_are_summed_up():
    rules = [predict("a").after(f"{a}{b}") for a in "abcdefghij" for b in "abcdefghij"]
    program = Program("abcdefghij", 5, [*rules, predict("b").otherwise()])
    picture = program_picture(program, is_expanded=True)
    assert unreadable(picture.svg) == []
    assert "and 41 more rules" in words(picture)


def test_a_selection_says_where_its_head_attends():
    prompts = Prompts("ab", context=8)
    value = select(prompts.token, "a").count()
    program = Program(prompts=prompts, rules=[predict("a").when(value > 1), predict("b").otherwise()])
    assert any(text.startswith("counts the positions where token ==") for text in words(program.draw()))


def test_values_are_in_the_order_of_their_lines(tmp_path):
    file = tmp_path / "ordered.py"
    file.write_text(
        "from handcraft import Program, Prompts, predict\n"
        "prompts = Prompts('abc', context=8)\n"
        "token = prompts.token\n"
        "late = token.at(-2, default='a')\n"
        "early = token.at(-1, default='a')\n"
        "both = (early == 'b') & (late == 'b')\n"
        "program = Program(prompts=prompts, rules=[\n"
        "    predict('a').when(both), predict('b').when(early == 'c'), predict('c').otherwise()])\n"
    )
    program = runpy.run_path(str(file))["program"]
    texts = texts_of(program.draw().svg)[0]
    tops = [(text.words.partition(" ")[0], text.top) for text in texts]
    places = {word: top for word, top in tops if word in ("late", "early", "both")}
    assert sorted(places, key=places.get) == ["late", "early", "both"]
    assert [text.words for text in texts if text.words.startswith("line ")][:3] == [
        "line 4",
        "line 5",
        "line 6",
    ]


def test_a_condition_on_the_source_alone_says_nothing_of_here():
    prompts = Prompts("ab", context=8)
    token, position = prompts.token, prompts.position
    before = token.at(-1, default="a").named("before")
    value = (select(before, token) & select(position, 0, ">")).latest(token, default="a")
    program = Program(prompts=prompts, rules=[predict(value).otherwise()])
    shown = " ".join(words(program.draw()))
    assert "where before == token here and position > 0; moves token" in shown
