"""What one expression made in a loop is one box of the picture of a program, or many if asked for."""

import re

import pytest
from gallery import WRITING, facts
from svg_texts import texts_of, unreadable

from handcraft import Program, Prompts, predict, select
from handcraft.draw import program_picture
from handcraft.draw.kinds.alike import TOGETHER
from handcraft.draw.kinds.program import MOST_ALONE


def words(picture):
    return [text.words for text in texts_of(picture.svg)[0]]


def test_rules_of_one_line_are_one_box_with_the_line_and_the_first_and_last_of_them():
    shown = words(program_picture(facts("tictactoe")["program"]))
    assert "9 rules, 1 to 9" in shown
    assert "*(predict(square).when(free[square] & wins[square]) for square in BEST)," in shown
    assert "the first, rule 1: predict 5 when free['5'] & wins['5']" in shown
    assert "the last, rule 9: predict 6 when free['6'] & wins['6']" in shown
    assert "rule 27: predict 6 otherwise" in shown
    assert sum(text.startswith("rule ") for text in shown) == 1


def test_a_program_of_loops_fits_on_two_screens_and_one_rule_of_it_is_drawn_in_full():
    program = facts("tictactoe")["program"]
    assert texts_of(program_picture(program).svg)[2] < 1300
    one = words(program_picture(program, rule=2))
    assert "rule 2: predict 1 when free['1'] & wins['1']" in one
    assert not any(re.match(r"\d+ (rules|values|heads)", text) for text in one)


def test_expanded_every_rule_and_value_has_its_own_box():
    program = facts("tictactoe")["program"]
    shown = words(program_picture(program, is_expanded=True))
    assert sum(text.startswith("rule ") for text in shown) == len(program.rules)
    assert not any(re.match(r"\d+ (rules|values|heads)", text) for text in shown)
    assert any(text.startswith("free['4'] = ") for text in shown)


def test_on_the_command_line_too(tmp_path, monkeypatch):
    from handcraft.cli.main import main

    monkeypatch.chdir(tmp_path)
    heights = {}
    for detail in ("program", "weights"):
        arguments = ["draw", "tictactoe", "--what", "program", "--detail", detail, "-o", "a.svg"]
        monkeypatch.setattr("sys.argv", ["handcraft", *arguments])
        with pytest.raises(SystemExit):
            main()
        heights[detail] = texts_of((tmp_path / "a.svg").read_text())[2]
    assert heights["weights"] > 4 * heights["program"]


def test_two_rules_of_one_line_have_a_box_each():
    prompts = Prompts("abc", context=4)
    program = Program(
        prompts=prompts,
        rules=[
            *(predict(letter).when(prompts.token == letter) for letter in "ab"),
            predict("c").otherwise(),
        ],
    )
    assert TOGETHER == 3
    shown = words(program_picture(program))
    assert sum(text.startswith("rule ") for text in shown) == 3


def chained(count):
    """Two values a round, of which each is computed from the other of the round before, and others."""
    prompts = Prompts("abc", context=4)
    token, position = prompts.token, prompts.position
    odd = even = token == "a"
    others = []
    for step in range(count):
        odd, even = (
            select(position, step).exists() & even,
            select(token, "b").exists() | odd,
        )
        others.append(select(position, step).latest(token, default="a"))
    rules = [
        *(predict(letter).when(each == letter) for each in others for letter in "ab"),
        predict("a").when(odd),
        predict("b").when(even),
        predict("c").otherwise(),
    ]
    return Program(prompts=prompts, rules=rules)


def test_values_that_are_computed_from_one_another_keep_their_own_boxes():
    program = chained(MOST_ALONE)
    picture = program_picture(program)  # the order of boxes would not exist if these were one
    assert unreadable(picture.svg) == []


@pytest.mark.parametrize("name", sorted({*WRITING}))
@pytest.mark.parametrize("is_expanded", [False, True])
def test_every_rule_of_the_gallery_is_in_one_box(name, is_expanded):
    program = facts(name)["program"]
    drawn = set()
    for text in words(program_picture(program, is_expanded=is_expanded)):
        if found := re.match(r"rule (\d+): ", text):
            drawn.add(int(found[1]))
        elif found := re.match(r"\d+ rules, (\d+) to (\d+)", text):
            drawn |= {*range(int(found[1]), int(found[2]) + 1)}
    assert drawn == {*range(1, len(program.rules) + 1)}
