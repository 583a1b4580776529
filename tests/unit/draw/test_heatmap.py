"""Tables of numbers as pictures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from handcraft.draw import heatmap_svg
from handcraft.errors import DrawError


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: heatmap_svg(np.zeros(3), title=""), "a table of shape (3,)"),
        (lambda: heatmap_svg(np.zeros((0, 3)), title=""), "a table of shape (0, 3)"),
        (
            lambda: heatmap_svg(np.array([[0, np.inf], [np.nan, 1]]), title=""),
            "2 cells of the table are not finite numbers",
        ),
        (lambda: heatmap_svg(np.eye(2), title="", limit=-1), "a limit of -1"),
        (lambda: heatmap_svg(np.eye(2), title="", limit=float("nan")), "a limit of nan"),
    ],
)
def test_a_table_that_has_no_picture_is_refused_with_its_numbers(call, what):
    with pytest.raises(DrawError) as caught:
        call()
    assert caught.value.what == what
    assert caught.value.fix


SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg, shape):
    """The colour of every cell, read from the picture: [row, column], None where nothing was drawn."""
    cells = np.full(shape, None, dtype=object)
    group = ET.fromstring(svg).find(f"{SVG}g")
    for path in group.findall(f"{SVG}path"):
        for column, row, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", path.get("d")):
            start = int(column)
            assert (cells[int(row), start : start + int(length)] == None).all()  # noqa: E711
            cells[int(row), start : start + int(length)] = path.get("fill")
    return cells


def texts(svg):
    return [element.text for element in ET.fromstring(svg).findall(f"{SVG}text")]


def test_every_cell_has_the_colour_of_its_number():
    table = np.array([[1.0, 1.0, -1.0, 0.0], [0.5, -0.5, 1.0, 0.0]])
    cells = drawn(heatmap_svg(table, title="t"), table.shape)
    for number in np.unique(table):
        assert len(set(cells[table == number])) == 1
    assert len(set(cells.ravel())) == len(np.unique(table))
    assert cells[0, 3] is None  # 0 is the ground


def test_numbers_beyond_the_limit_have_the_full_colour():
    cells = drawn(heatmap_svg(np.array([[1.0, 5.0, -5.0]]), title="t", limit=1), (1, 3))
    assert cells[0, 0] == cells[0, 1] != cells[0, 2]


def test_a_picture_of_zeros_is_its_ground():
    assert (drawn(heatmap_svg(np.zeros((2, 3)), title="t"), (2, 3)) == None).all()  # noqa: E711


def test_labels_are_written_and_escaped():
    svg = heatmap_svg(np.eye(3), title="a < b & c", x_label="x > 0", y_label='"y"')
    assert {"a < b & c", "x > 0", '"y"'} <= set(texts(svg))


def test_ticks_are_few_and_begin_at_0():
    for count in (1, 9, 10, 64, 700):
        shown = [text for text in texts(heatmap_svg(np.ones((1, count)), title="t")) if text.isdigit()]
        columns = shown[: len(shown) - 3]
        assert columns[0] == "0"
        assert len(columns) <= 10


def test_the_bar_shows_what_signs_there_are():
    assert "\N{MINUS SIGN}2" in texts(heatmap_svg(np.array([[2.0, -1.0]]), title="t"))
    assert texts(heatmap_svg(np.array([[2.0, 0.0]]), title="t"))[-3:] == ["2", "1", "0"]


def test_a_table_of_another_dtype_is_the_same_picture():
    table = np.array([[1, 0], [0, -1]])
    assert heatmap_svg(table, title="t") == heatmap_svg(table.astype(np.float32), title="t")


def test_everything_lies_inside_the_picture():
    for shape in ((1, 1), (2, 300), (300, 2), (64, 64)):
        root = ET.fromstring(heatmap_svg(np.ones(shape), title="t"))
        width, height = int(root.get("width")), int(root.get("height"))
        for box in root.findall(f"{SVG}rect"):
            assert float(box.get("x", 0)) + float(box.get("width")) <= width
            assert float(box.get("y", 0)) + float(box.get("height")) <= height
        for text in root.findall(f"{SVG}text"):
            assert 0 <= float(text.get("x")) <= width
            assert 0 <= float(text.get("y")) <= height
