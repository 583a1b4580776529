"""Long names in the tables of a terminal: broken after a mark, and different where names are."""

from __future__ import annotations

import re
import runpy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from handcraft import compile_program
from handcraft.cli.output.value_table import labels_of, value_table
from handcraft.explain.breaking import broken_lines
from handcraft.explain.write_text import write_text

FILE = """
from handcraft import Program, Prompts, predict
prompts = Prompts("abc", context=6)
token = prompts.token
the_letter_that_came_directly_before_this_one_in_the_whole_text = token.at(-1, default="a")
is_the_same_letter_as_the_one_before = (
    the_letter_that_came_directly_before_this_one_in_the_whole_text == token
)
program = Program(prompts=prompts, rules=[
    predict("b").when(is_the_same_letter_as_the_one_before & (token == "c")),
    predict(the_letter_that_came_directly_before_this_one_in_the_whole_text).otherwise(),
])
"""

MARKS = "_.(="

words = st.text(f"abü漢{MARKS}", min_size=1, max_size=30)

texts = st.lists(words, min_size=1, max_size=8).map(" ".join)


@given(texts, st.integers(4, 40))
def test_lines_fit_and_say_all_that_the_text_says(text, width):
    lines = broken_lines(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(texts, st.integers(4, 40))
def test_a_word_is_cut_without_a_mark_only_where_it_has_none_in_a_line(text, width):
    lines = broken_lines(text, width)
    at_space = {len(text[:at].replace(" ", "")) for at, each in enumerate(text) if each == " "}
    place = 0
    for line in lines[:-1]:
        place += len(line.replace(" ", ""))
        if place not in at_space and line[-1] not in MARKS:
            assert not set(MARKS) & set(line)
            assert cell_len(line) >= width - 1, "the line is full: a character may be wide"


@pytest.mark.parametrize("width", [80, 100])
def test_names_in_tables_are_broken_after_a_mark(width, tmp_path):
    (tmp_path / "long.py").write_text(FILE)
    program = runpy.run_path(str(tmp_path / "long.py"))["program"]
    shown = write_text(compile_program(program).explain("abca"), width)
    assert max(map(len, shown.splitlines())) <= width
    known = set(re.findall(r"[a-z]+", FILE)) | set(re.findall(r"[a-z]+", "token at default predict"))
    rules = shown.split("\nRules\n")[1].split("\nValues\n")[0]
    assert set(re.findall(r"[a-z]+", rules)) <= known | {
        *["fires", "nearly", "rule", "because", "where", "not", "always", "matches", "when"],
        *["otherwise", "long", "py"],
    }, "every word is whole"


def test_values_whose_names_begin_alike_have_different_labels():
    names = [f"the_letter_before_this_one_is_{letter}" for letter in "abc"]
    assert len(set(labels_of(names))) == 3
    shown = value_table("ab", dict.fromkeys(names, (True, False)))
    firsts = [line.split("  ")[0] for line in shown.splitlines()]
    assert len(set(firsts)) == 4
