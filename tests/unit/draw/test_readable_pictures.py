"""Every picture of every program of the gallery can be read on a page 830 pixels wide."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from gallery import FOLDER, facts
from svg_texts import PAGE, texts_of, unreadable

from handcraft import compile_program
from handcraft.cli.example_prompt import example_prompt
from handcraft.draw import WHATS, Subject, draw_picture
from handcraft.draw.scene import Scene
from handcraft.errors import DrawError

GALLERY = [path.stem for path in sorted(FOLDER.glob("*.py"))]


@cache
def subject_of(name: str) -> tuple[Subject, str]:
    """A program compiled for `block`, and a prompt of it."""
    compiled = compile_program(
        facts(name).get("program", facts(name).get("circuits")), architecture="block"
    )
    tokens = compiled.model.vocabulary.tokens
    joined = ("" if all(len(token) == 1 for token in tokens) else " ").join(tokens[:4])
    return replace(compiled.subject, name=name), example_prompt(name) or joined


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("name", GALLERY)
def test_nothing_of_a_picture_overlaps_is_too_small_or_lies_outside(name, what):
    subject, prompt = subject_of(name)
    try:
        picture = draw_picture(subject, what, prompt=prompt)
    except DrawError as refused:
        assert (name, what, refused.what) in {  # noqa: PT017 - one that is refused has no picture
            *((name, "program", f"the rules of {name} are not known") for name in ["by_hand"]),
            *((name, "positions", "the position embedding is all 0") for name in GALLERY),
        }
        return
    assert unreadable(picture.svg) == []
    texts, width, _ = texts_of(picture.svg)
    assert texts
    assert width <= PAGE


TOO_LONG = {"subleq", "tictactoe"}
"""Programs with so many neurons that a box for each is no picture."""


@pytest.mark.parametrize("detail", ["program", "weights"])
@pytest.mark.parametrize("name", GALLERY)
def test_so_can_the_coarsest_and_the_finest_circuit(name, detail):
    subject, _ = subject_of(name)
    if detail == "weights" and name in TOO_LONG:
        with pytest.raises(DrawError, match="30,000 pixels"):
            draw_picture(subject, "circuit", detail=detail)
        return
    assert unreadable(draw_picture(subject, "circuit", detail=detail).svg) == []


def test_the_test_sees_texts_that_overlap_are_small_or_lie_outside():
    scene = Scene("title")
    scene.text(100, 100, "one word")
    scene.text(120, 104, "another")
    scene.text(10, 200, "small", size=8)
    scene.text(820, 300, "outside")
    scene.text(300, 400, "upright", turned=True)
    scene.text(302, 390, "across")
    scene.y = 500
    found = unreadable(scene.picture().svg)
    assert found == [
        "'small' is 8.0 px",
        "'outside' is partly outside",
        "'one word' overlaps 'another'",
        "'upright' overlaps 'across'",
    ]
