"""Columns of a table as curves."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from svg_texts import unreadable

from handcraft.draw import curves_svg
from handcraft.errors import DrawError


def points(svg):
    """The corners of every curve, [curve, point, 2]."""
    found = re.findall(r'<polyline points="([^"]+)"', svg)
    return [np.array([pair.split(",") for pair in line.split()], dtype=float) for line in found]


def test_larger_numbers_are_drawn_higher_and_later_points_further_right():
    (curve,) = points(curves_svg({"x": [0, 2, 1]}, title="t"))
    assert np.argsort(curve[:, 1]).tolist() == [1, 2, 0]
    assert np.argsort(curve[:, 0]).tolist() == [0, 1, 2]


def test_every_curve_shares_the_scale():
    low, high = points(curves_svg({"low": [0, 1], "high": [1, 3]}, title="t"))
    assert low[1, 1] == high[0, 1]


def test_the_picture_is_well_formed_and_names_what_it_shows():
    svg = curves_svg({"a < b": [0, 1]}, title="<t>", x_label="point")
    texts = {text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {"a < b", "<t>", "point", "0", "1"} <= texts


@pytest.mark.parametrize("name", ["x", "losses with renamed words"])
def test_the_names_of_curves_fit(name):
    assert unreadable(curves_svg({name: [0, 1], f"{name}, again": [1, 2]}, title="t")) == []


def test_a_number_near_zero_is_labelled_0():
    assert "e\N{MINUS SIGN}" not in curves_svg({"x": [-1 + 1e-9, 1]}, title="t")


def test_a_flat_curve_is_drawn():
    (curve,) = points(curves_svg({"x": [5, 5]}, title="t"))
    assert curve[0, 1] == curve[1, 1]


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({}, "0 curves"),
        ({str(i): [0, 1] for i in range(7)}, "7 curves"),
        ({"a": [0, 1], "b": [0, 1, 2]}, r"shapes \(2,\), \(3,\)"),
        ({"a": [[0, 1]]}, r"shapes \(1, 2\)"),
        ({"a": [0, np.inf]}, "not finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(curves, message):
    with pytest.raises(DrawError, match=message):
        curves_svg(curves, title="t")
