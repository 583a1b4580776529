"""Text in boxes: nothing that a user can write breaks a picture, and it all fits."""

from __future__ import annotations

import pytest

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    copy,
    embed_position,
    embed_token,
    look_back,
    one_hot,
)
from handcraft.draw.canvas.font import FAMILY, FILE
from handcraft.draw.graphs.label import width_in_points
from handcraft.origin import Origin

HOSTILE = [
    "<",
    "<b>a</b>",
    '"',
    "\\",
    "\\N",
    "\\l",
    "|",
    "{x}",
    "&",
    "&lt;",
    "&#65;",
    "]]>",
    "--",
    "'",
    "漢字",
    "🙂",
    "é",
]


def embedded(token) -> Circuits:
    return Circuits(token.values, 3, embedding=[embed_token(token)], blocks=[], unembedding=token)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_is(draw, text):
    token = one_hot(f"token {text}", ["x", text])
    position = one_hot("position", range(3))
    move = LinearMap(token, token, ((1, 1, 2),), (Origin(f"predict {text}"),))
    head = Head(text, look_back(position, 1), (move,), (copy(token, token),))
    adds = Bias(Coefficients(token, ((1, 5),)), (Origin(text),))
    picture = draw(
        Circuits(
            ["x", text],
            3,
            embedding=[embed_position(position), embed_token(token)],
            blocks=[Block((head,), (adds,))],
            unembedding=token,
        )
    )
    assert picture.of("input")[0].lines == ("input: token", f"x {text}")
    assert {box.lines[0] for box in picture.of("subspace")} == {f"token {text}", "position"}
    assert picture.only("head").lines == (
        f"head: {text}",
        "attends to: 1 back",
        f"token {text} {text} → {text} +2",
        f"for: predict {text}",
    )
    assert picture.only("bias").lines == ("bias", f"{text}: {text} +5")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\n", r"'\n'"), (" ", "' '"), ("\x00", r"\x00"), ("\u202e", r"\u202e")],
)
def test_what_cannot_be_seen_is_shown_by_an_escape(draw, text, shown):
    picture = draw(embedded(one_hot("token", ["x", text])))
    assert picture.only("input").lines == ("input: token", f"x {shown}")


def test_a_very_long_name_is_cut(draw):
    token = one_hot("long" * 100, "ab")
    (name, _), *_ = (box.lines for box in draw(embedded(token)).of("subspace"))
    assert name.endswith("…")
    assert len(name) == 72


@pytest.mark.parametrize(
    "line",
    ["mmmm WWWW @@ %%", "iiii llll ....", "nobody hung 0123", "d after a.[^a]c: d +256", "→ é"],
)
def test_a_line_fits_into_its_box(line):
    import resvg_py

    line_width = width_in_points(line)
    text = f'<text y="20" font-size="11" font-family="sans-serif">{line}</text>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="999" height="30">{text}{{}}</svg>'

    def pixels(cover):
        return resvg_py.svg_to_bytes(
            svg_string=svg.format(cover),
            skip_system_fonts=True,
            font_files=[str(FILE)],
            sans_serif_family=FAMILY,
            background="white",
            dpi=96,
        )

    assert pixels(f'<rect x="{line_width}" width="999" height="30" fill="white"/>') == pixels("")
    covered = pixels(f'<rect x="{line_width / 3}" width="999" height="30" fill="white"/>')
    assert covered != pixels("")
