"""Tables of positions, what finds a neighbour in them, and their pictures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from math import cos, sin

import numpy as np
import pytest

from handcraft.circuits import signed_bits
from handcraft.errors import ModelError
from handcraft.model.position_tables import (
    heatmap_svg,
    one_hot_table,
    signed_bit_table,
    sinusoid_shift,
    sinusoid_table,
)


@pytest.mark.parametrize(("n_positions", "width"), [(1, 2), (5, 4), (40, 16)])
def test_a_sinusoid_table_is_its_formula(n_positions, width):
    table = sinusoid_table(n_positions, width)
    assert table.shape == (n_positions, width)
    for p in range(n_positions):
        for i in range(width // 2):
            angle = p / 10_000 ** (2 * i / width)
            assert table[p, 2 * i] == pytest.approx(sin(angle), abs=1e-12)
            assert table[p, 2 * i + 1] == pytest.approx(cos(angle), abs=1e-12)


def test_another_base_turns_otherwise():
    np.testing.assert_allclose(sinusoid_table(5, 4, base=4)[3, 2:], [sin(1.5), cos(1.5)])


@pytest.mark.parametrize("distance", [0, 1, 7, -3])
def test_a_shift_moves_every_row_of_sinusoids(distance):
    table, shift = sinusoid_table(30, 12, base=50), sinusoid_shift(12, distance, base=50)
    for p in range(30):
        if 0 <= p - distance < 30:
            np.testing.assert_allclose(table[p] @ shift, table[p - distance], atol=1e-12)


def test_products_of_sinusoids_depend_on_the_distance_only():
    table = sinusoid_table(50, 16)
    products = table @ table.T
    for distance in range(50):
        np.testing.assert_allclose(np.diagonal(products, distance), products[0, distance], atol=1e-12)
    assert (products.argmax(axis=1) == np.arange(50)).all()


@pytest.mark.parametrize("n_positions", [1, 2, 9])
def test_a_one_hot_table_is_the_identity(n_positions):
    np.testing.assert_array_equal(one_hot_table(n_positions), np.eye(n_positions))


@pytest.mark.parametrize("n_positions", [1, 2, 3, 8, 9, 100])
def test_signed_bits_are_those_of_the_circuits(n_positions):
    subspace = signed_bits("position", range(n_positions))
    expected = [subspace.codeword(p) for p in range(n_positions)]
    np.testing.assert_array_equal(signed_bit_table(n_positions), expected)


@pytest.mark.parametrize("n_positions", [2, 5, 64, 1024])
def test_another_position_differs_in_a_bit_that_costs_2(n_positions):
    table = signed_bit_table(n_positions)
    products = table @ table.T
    best = products.max()
    np.fill_diagonal(products, -np.inf)
    assert best == table.shape[1]
    assert products.max() == best - 2


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: sinusoid_table(0, 4), "a table of 0 positions"),
        (lambda: sinusoid_table(4, 3), "sinusoids 3 wide"),
        (lambda: sinusoid_table(4, 0), "sinusoids 0 wide"),
        (lambda: sinusoid_table(4, 4, base=0), "sinusoids with the base 0"),
        (lambda: sinusoid_shift(5, 1), "sinusoids 5 wide"),
        (lambda: one_hot_table(0), "a table of 0 positions"),
        (lambda: signed_bit_table(-2), "a table of -2 positions"),
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
def test_what_cannot_be_is_refused_with_the_numbers(call, what):
    with pytest.raises(ModelError) as caught:
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
