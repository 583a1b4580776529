"""A folder is drawn as the program that it was compiled from."""

from __future__ import annotations

import gallery
import pytest
from svg_texts import texts_of

from handcraft import Prompts, compile_sequences, save, select
from handcraft.draw import draw_picture
from handcraft.draw.kinds.program import meaning_picture
from handcraft.errors import DrawError
from handcraft.formats import read_checkpoint
from handcraft.subject import Subject

PROMPTS = {"aab": "aab", "induction": "abca", "add": "=12+34=", "dyck2": "([()]", "parity": "1101"}


def words(picture) -> list[str]:
    """The texts of a picture, without the lines of a file that a folder does not contain."""
    texts, *_ = texts_of(picture.svg)
    return [text.words for text in texts if not text.words.startswith("line ")]


def subjects(name: str, folder) -> tuple[Subject, Subject]:
    """A program, and the folder that it was compiled to."""
    compiled = gallery.compiled(name)
    save(compiled, folder / "model")
    return compiled.subject, read_checkpoint(folder / "model").subject


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("what", ["program", "run", "weights", "positions"])
def test_a_folder_has_the_pictures_of_its_program(name, what, tmp_path):
    program, folder = subjects(name, tmp_path)
    drawn = [draw_picture(each, what, prompt=PROMPTS[name]) for each in (program, folder)]
    titles = [picture.svg.split("<title>")[1].split("</title>")[0] for picture in drawn]
    assert titles[1] == titles[0] or folder.name in titles[1]
    here, there = map(words, drawn)
    assert there[1:] == here[1:]
    assert len(here) > 3


def test_what_one_line_made_is_one_box_of_a_folder_too(tmp_path):
    """A folder knows the lines by number, and does not contain their text."""
    here, there = (words(draw_picture(each, "program")) for each in subjects("tictactoe", tmp_path))
    made = [text for text in here if "for square in BEST" in text or text.endswith("LINES}")]
    assert made
    assert "9 rules, 1 to 9" in there
    assert set(there[1:]) < set(here)
    assert [text for text in here if " for " not in text][1:] == there[1:]


def test_one_rule_of_a_folder_is_drawn_by_its_number(tmp_path):
    program, folder = subjects("histogram", tmp_path)
    assert program.meaning is not None
    assert folder.meaning is not None
    here = meaning_picture(program.meaning, rule=2)
    assert words(meaning_picture(folder.meaning, rule=2)) == words(here)
    with pytest.raises(DrawError, match="there is no rule 99") as wrong:
        meaning_picture(folder.meaning, rule=99)
    assert f"from 1 to {len(folder.rules)}" in wrong.value.fix


def test_the_expressions_of_a_folder_are_drawn(tmp_path):
    token = Prompts("abc", context=5).token
    seen = select(token, token).count()
    compiled = compile_sequences({"seen": seen, "again": seen > 1})
    save(compiled, tmp_path / "values")
    folder = read_checkpoint(tmp_path / "values").subject
    for what in ("program", "run"):
        here, there = (
            words(draw_picture(each, what, prompt="abca")) for each in (compiled.subject, folder)
        )
        assert there[1:] == here[1:]
    assert any("again" in each for each in here)


def test_a_folder_without_a_certificate_is_drawn_as_its_circuit(tmp_path):
    save(gallery.compiled("induction"), tmp_path / "model")
    (tmp_path / "model" / "certificate.json").unlink()
    folder = read_checkpoint(tmp_path / "model").subject
    with pytest.raises(DrawError, match="the rules of model are not known") as refused:
        draw_picture(folder, "program")
    assert "draw one of: circuit" in refused.value.fix
    assert draw_picture(folder, "run", prompt="abca").svg
