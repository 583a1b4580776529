"""Texts that fit: nothing is cut where two labels differ, and nothing is wider than it may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handcraft.draw.canvas.fit import shortened, wrapped
from handcraft.draw.canvas.font import text_width
from handcraft.draw.graphs.label import visible

SIZE = 11

texts = st.text(st.characters(codec="utf-8", exclude_characters="\u0301"), max_size=60)
alike = st.builds(
    lambda start, middle, end: f"{'x' * start}{middle}{'y' * end}",
    st.integers(0, 40),
    st.text("abc, ", max_size=3),
    st.integers(0, 40),
)


@given(st.lists(alike | texts, max_size=12), st.integers(80, 300))
def test_labels_that_differ_still_do_when_they_are_cut(labels, width):
    cut = shortened(labels, width, SIZE)
    shown = [visible(label) if label else "" for label in labels]
    assert len(set(cut)) == len(set(shown))
    assert len(cut) == len(labels)
    for label, short in zip(shown, cut, strict=True):
        assert text_width(short, SIZE) <= width
        if text_width(label, SIZE) <= width:
            assert short == label


@given(texts, st.integers(80, 300))
def test_lines_are_no_wider_than_they_may_be_and_lose_no_letter(text, width):
    lines = wrapped(text, width, SIZE)
    assert all(text_width(line, SIZE) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(visible(text).split())


def test_equal_labels_are_cut_alike():
    assert shortened(["a" * 99, "a" * 99], 60, SIZE)[0] == shortened(["a" * 99, "a" * 99], 60, SIZE)[1]


def test_what_differs_only_far_behind_is_cut_around_the_difference():
    first, second = shortened([f"{'x' * 50}1{'y' * 50}", f"{'x' * 50}2{'y' * 50}"], 90, SIZE)
    assert "1" in first
    assert "2" in second
