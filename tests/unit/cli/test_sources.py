"""What PROGRAM can be: a path, a path and a name, a shipped program."""

from __future__ import annotations

import sys

import pytest

from handcraft import Program
from handcraft.cli.input.shipped import shipped_programs, summary
from handcraft.cli.input.sources import find, load_model
from handcraft.errors import CommandError


def test_a_name_after_the_path_chooses(several):
    assert len(find(f"{several}:one").source.rules) == 2
    assert len(find(f"{several}:two").source.rules) == 1
    assert len(find(f"{several}:again").source.rules) == 2


def test_a_hidden_name_cannot_be_chosen(several):
    with pytest.raises(CommandError):
        find(f"{several}:_hidden")


def test_one_program_under_two_names_needs_no_choice(tmp_path):
    (tmp_path / "p.py").write_text(
        "from handcraft import Program, predict\n"
        'program = Program("ab", 3, [predict("a").otherwise()])\n'
        "same = program\n"
    )
    assert isinstance(find(str(tmp_path / "p.py")).source, Program)


def test_a_path_with_a_colon_in_it_is_a_path(tmp_path):
    path = tmp_path / "odd:name.rules"
    path.write_text("predict a otherwise\n")
    assert isinstance(find(str(path)).source, Program)


def test_a_name_cannot_be_chosen_in_a_rules_file(tmp_path):
    """It holds one program, which has no name."""
    (tmp_path / "a.rules").write_text("predict a otherwise\n")
    with pytest.raises(CommandError):
        find(f"{tmp_path / 'a.rules'}:nonsense")


def test_a_program_is_run_under_another_name_than_main(tmp_path):
    (tmp_path / "p.py").write_text(
        "from handcraft import Program, predict\n"
        'program = Program("ab", 3, [predict("a").otherwise()])\n'
        'if __name__ == "__main__":\n'
        "    raise SystemExit\n"
    )
    assert isinstance(find(str(tmp_path / "p.py")).source, Program)


def test_reading_a_program_leaves_the_search_path_as_it_was(several):
    before = list(sys.path)
    find(f"{several}:one")
    assert sys.path == before


def test_a_program_that_changes_the_search_path_is_no_trouble(tmp_path):
    (tmp_path / "p.py").write_text(
        "import sys\n"
        "from handcraft import Program, predict\n"
        "sys.path = [p for p in sys.path if p != sys.path[0]]\n"
        'program = Program("ab", 3, [predict("a").otherwise()])\n'
    )
    before = list(sys.path)
    try:
        assert isinstance(find(str(tmp_path / "p.py")).source, Program)
    finally:
        sys.path = before


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path):
    text = "vocabulary a b\ncontext 3\npredict b after a\npredict a otherwise\n"
    (tmp_path / "a.rules").write_text(text, encoding="utf-8-sig")
    assert find(str(tmp_path / "a.rules")).source.meaning("a") == "b"


def test_lines_may_end_as_they_do_on_windows(tmp_path):
    text = b"vocabulary a b\r\ncontext 3\r\npredict b after a\r\npredict a otherwise\r\n"
    (tmp_path / "a.rules").write_bytes(text)
    assert find(str(tmp_path / "a.rules")).source.meaning("a") == "b"


def test_rules_on_the_command_line_come_with_what_they_mean():
    loaded = load_model(None, ["predict b after aa"])
    assert loaded.source.meaning("aa") == "b"
    assert loaded.model.vocabulary.tokens == ("a", "b")


def test_shipped_programs_are_in_alphabetical_order():
    assert list(shipped_programs()) == sorted(shipped_programs())


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.rules", "# Says a.\n# And more.\npredict a otherwise\n", "Says a."),
        ("a.rules", "\n\n## Says a.\npredict a otherwise\n", "Says a."),
        ("a.rules", "predict a otherwise\n# late\n", ""),
        ("a.rules", "", ""),
        ("a.py", '"""Says a.\n\nAnd more."""\n', "Says a."),
        ("a.py", "x = 1\n", ""),
        ("a.py", "", ""),
    ],
)
def test_a_summary_is_the_first_line_of_what_a_file_says_it_is(tmp_path, name, text, line):
    (tmp_path / name).write_text(text)
    assert summary(tmp_path / name) == line


def test_a_folder_without_handcraft_json_is_told_from_one_that_is_no_model(run, tmp_path):
    """What the advice says works without the file does work."""
    assert run("compile", "aab", "-o", "aab").status == 0
    (tmp_path / "aab" / "handcraft.json").unlink()
    err = run("explain", "aab/").err
    assert "has no handcraft.json, which says what its weights are for" in err
    assert "explain aab --prompt TEXT" in err
    assert run("explain", "aab/", "--prompt", "aab").status == 0
    assert run("run", "aab/", "aab").status == 0
    assert run("draw", "aab/", "-o", "aab.svg").status == 0
    (tmp_path / "notes").mkdir()
    assert "notes is a folder, and this command needs a program" in run("explain", "notes/").err


def test_a_folder_for_other_tools_is_not_compiled_again_itself(run):
    assert run("compile", "aab", "-o", "for_book", "--format", "raschka").status == 0
    assert (
        "fix:   compile the program again with --format huggingface" in run("explain", "for_book").err
    )
    err = run("prove", "for_book", "--meaning", "aab").err
    assert "the checker does not know the key 'context_length'" in err
    assert "fix:   prove a GPT-2 of Hugging Face: handcraft compile PROGRAM" in err
