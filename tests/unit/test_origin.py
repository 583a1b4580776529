"""Origins: the file, line and column where a piece of a program was written."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from handcraft.origin import Origin, Place

HEAD = "from handcraft import Program, predict\n"


def run(source: str, file: str = "/somewhere/rules.py") -> dict:
    names: dict = {}
    exec(compile(HEAD + source, file, "exec"), names)
    return names


def test_a_rule_knows_the_line_and_the_column_where_it_begins():
    rule = run('\n\nrule = predict("b").after("aa")\n')["rule"]
    assert rule.place == Place("/somewhere/rules.py", 4, 8)


def test_two_rules_of_one_line_have_two_columns():
    rules = run('rules = [predict("b").after("aa"), predict("a").otherwise()]\n')["rules"]
    assert [rule.place.column for rule in rules] == [10, 36]


def test_a_rule_over_several_lines_is_placed_on_one_of_them():
    rules = run('rules = [\n    predict("b")\n    .after(\n        "aa"\n    ),\n]\n')["rules"]
    assert rules[0].place.line in (3, 4)


def test_a_column_counts_characters_and_not_bytes(tmp_path):
    line = 'rules = ["é", predict("b").after("aa")]'
    file = tmp_path / "rules.py"
    file.write_text(f"{HEAD}{line}\n", encoding="utf-8")
    rule = runpy.run_path(str(file))["rules"][1]
    assert rule.place.column == line.index("predict") + 1


def test_the_same_code_further_down_in_another_file_has_its_own_place():
    first = run('rule = predict("b").after("aa")\n', "/one.py")["rule"]
    second = run('\n\n\nrule =    predict("b").after("aa")\n', "/two.py")["rule"]
    assert first.place == Place("/one.py", 2, 8)
    assert second.place == Place("/two.py", 5, 11)


def test_a_program_knows_where_it_was_made():
    program = run('\nprogram = Program("a", 1, [predict("a").otherwise()])\n')["program"]
    assert program.place == Place("/somewhere/rules.py", 3, 11)


def test_a_rule_made_in_a_function_is_placed_in_that_function():
    source = 'def make(token):\n    return predict(token).otherwise()\n\nrule = make("a")\n'
    assert run(source)["rule"].place.line == 3


def test_where_a_rule_stands_does_not_change_what_it_is():
    rules = run('rules = [predict("b").after("aa"),\n    predict("b").after("aa")]\n')["rules"]
    assert rules[0].place != rules[1].place
    assert rules[0] == rules[1]


def test_a_file_below_the_working_directory_is_shown_without_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(Place(str(tmp_path / "programs" / "a.py"), 3, 7)) == str(Path("programs/a.py")) + ":3:7"


def test_a_file_outside_the_working_directory_is_shown_whole(tmp_path, monkeypatch):
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    file = str(tmp_path / "a.py")
    assert str(Place(file, 3, 7)) == f"{file}:3:7"


def test_a_short_place_is_the_same_wherever_the_file_lies():
    assert Place("/here/a.py", 3, 7).short == Place("/there/a.py", 3, 7).short == "a.py:3:7"


def test_a_name_that_is_no_path_is_shown_as_it_is():
    assert str(Place("-e", 1, 1)) == "-e:1:1"


@pytest.mark.parametrize(
    ("place", "shown"), [(None, "what"), (Place("/x/rules.py", 2, 5), "what (rules.py:2:5)")]
)
def test_an_origin_says_what_it_is_and_where_it_was_written(place, shown):
    assert str(Origin("what", place)) == shown
