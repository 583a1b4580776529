"""Every picture of every program of the gallery can be read on a page 830 pixels wide."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from gallery import FOLDER, facts
from svg_texts import PAGE, texts_of, unreadable

from handcraft import Program, Prompts, compile_program, compile_sequences, predict, select
from handcraft.cli.input.example_prompt import example_prompt
from handcraft.draw import OF_A_RUN, WHATS, draw_picture
from handcraft.draw.canvas.scene import Scene
from handcraft.errors import DrawError
from handcraft.subject import Subject

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


HOSTILE = (
    *("<", "<b>a</b>", '"', "\\", "\\N", "|", "{x}", "&", "&lt;", "&#65;", "]]>", "'", "漢字", "🙂"),
    *("e\u0301", "\x07", "a" * 60, "a" * 59 + "b"),
)
"""Tokens that break XML, are not in the font, or are long and nearly equal."""


@pytest.mark.parametrize("what", WHATS)
def test_tokens_of_every_kind_are_readable_in_an_svg_and_in_a_png(what):
    prompts = Prompts(HOSTILE, context=20)
    named = prompts.token.at(-1, default="<")
    rules = [predict("🙂").when(named == "漢字"), predict(named).otherwise()]
    compiled = compile_program(Program(prompts=prompts, rules=rules), architecture="block")
    picture = compiled.draw(what=what, prompt=HOSTILE if what in OF_A_RUN else None)
    assert unreadable(picture.svg) == []
    assert picture.png.startswith(b"\x89PNG")


@pytest.mark.parametrize("what", WHATS)
def test_a_model_of_values_without_a_mask_has_every_picture(what):
    prompts = Prompts("abc", context=6, causal=False)
    outputs = {"how many": select(prompts.token, "a").count(), "next": prompts.token.at(1, default="a")}
    picture = compile_sequences(outputs).draw(what=what, prompt="abca" if what in OF_A_RUN else None)
    assert unreadable(picture.svg) == []


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
