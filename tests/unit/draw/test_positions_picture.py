"""The picture of a position embedding shows what the program needs of it."""

from __future__ import annotations

import re

from svg_texts import texts_of

from handcraft import Program, Prompts, compile_program, predict
from handcraft.draw.kinds.positions import positions_picture


def words(picture) -> list[str]:
    return [text.words for text in texts_of(picture.svg)[0]]


def by_position(**options):
    prompts = Prompts("ab", context=8)
    rules = [predict("b").when(prompts.token.at(-1, default="a") == "b"), predict("a").otherwise()]
    return compile_program(Program(prompts=prompts, rules=rules), **options)


def test_ballast_does_not_set_the_scale_of_colours():
    compiled = by_position()
    assert float(abs(compiled.model.tensors["wpe.weight"]).max()) >= 256
    picture = compiled.draw(what="positions")
    assert any(text.endswith(", without ballast") for text in words(picture))
    assert "1.02e+03" not in words(picture)
    shades = set(re.findall(r'<path fill="(#\w+)" d="M\d', picture.svg))
    assert len(shades) > 2
    assert "1.02e+03" in words(positions_picture(compiled.model))


def test_only_the_positions_of_the_program_are_drawn():
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    compiled = compile_program(program, n_positions=64)
    picture = compiled.draw(what="positions")
    assert any("the first 5 of 64 positions" in text for text in words(picture))
    assert "the first" not in " ".join(words(positions_picture(compiled.model)))


def test_nothing_is_said_where_nothing_is_left_out():
    assert "model: position embedding" in words(
        by_position(architecture="block").draw(what="positions")
    )
