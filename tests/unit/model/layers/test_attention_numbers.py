"""The figures of docs/attention-by-numbers.md: from the functions, and as they stand on the page."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path

import numpy as np
import pytest

from handcraft.model import attend, causal_mask, masked_softmax, softmax

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "attention-by-numbers.md"
FIGURES = json.loads((ROOT / "tests" / "golden" / "attention_numbers.json").read_text(encoding="utf-8"))

X = np.array(FIGURES["inputs"])
PLAIN = {name: np.array(figures) for name, figures in FIGURES["plain"].items()}
D_K = FIGURES["causal_d_k"]

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS  # as in pyproject.toml

HALF_A_DIGIT = 5e-5 + 1e-12  # the figures have four decimals


def triangle(rows):
    """Rows of growing length as a square matrix: the matrix, and where it has figures."""
    size = len(rows)
    square = np.zeros((size, size))
    for i, row in enumerate(rows):
        square[i, : len(row)] = row
    return square, np.tri(size, dtype=bool)


SCORES, SEEN = triangle(FIGURES["causal_scores"])
PATTERN, _ = triangle(FIGURES["causal_softmax"])


@pytest.fixture(scope="module")
def page():
    """The names that the page has defined at its end."""
    names = {}
    source = PAGE.read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(source, names, PAGE.name, str(PAGE), 0)
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    assert runner.run(test, out=lambda text: None, clear_globs=False).failed == 0
    return test.globs


def numbers_on(text):
    """Every array row on the page, as a tuple of floats."""
    rows = re.findall(r"\[([^\[\]]+)\]", text)
    return {
        tuple(float(number) for number in row.replace(",", " ").split())
        for row in rows
        if re.fullmatch(r"[-+0-9.,einf\s]+", row) and re.search(r"\d", row)
    }


def test_attention_without_weights_gives_the_figures():
    scores, pattern, context = attend(X, X, X, scale=1.0, causal=False)
    np.testing.assert_allclose(scores, PLAIN["scores"], rtol=0, atol=HALF_A_DIGIT)
    np.testing.assert_allclose(pattern, PLAIN["weights"], rtol=0, atol=HALF_A_DIGIT)
    np.testing.assert_allclose(context, PLAIN["context"], rtol=0, atol=HALF_A_DIGIT)


def test_identity_matrices_are_no_weights_up_to_the_scale(page):
    scores, _, _ = page["self_attend"](X, np.eye(3), np.eye(3), np.eye(3))
    np.testing.assert_allclose(scores * np.sqrt(3), PLAIN["scores"], rtol=0, atol=HALF_A_DIGIT)


def test_the_causal_figures_are_the_softmax_of_their_scores():
    """The scores were rounded first, which moves a weight by a few hundred-thousandths."""
    pattern = masked_softmax(SCORES / np.sqrt(D_K), causal_mask(6, 6))
    np.testing.assert_allclose(pattern, PATTERN, rtol=0, atol=HALF_A_DIGIT + 1e-5)


def test_the_causal_figures_are_divided_by_the_root_of_d_k():
    unscaled = masked_softmax(SCORES, causal_mask(6, 6))
    assert np.abs(unscaled - PATTERN).max() > 0.02


def test_the_matrices_of_the_page_give_every_causal_figure(page):
    scores, pattern, _ = page["self_attend"](X, page["w_q"], page["w_k"], page["w_v"], causal=True)
    raw = scores * np.sqrt(D_K)
    np.testing.assert_array_equal(raw.round(4)[SEEN], SCORES[SEEN])
    np.testing.assert_array_equal(pattern.round(4), PATTERN)


def test_masking_after_softmax_gives_the_figures_only_when_rows_are_renormalised(page):
    late = softmax(page["raw"] / np.sqrt(D_K)) * SEEN
    assert np.abs(late - PATTERN).max() > 0.8
    late /= late.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(late.round(4), PATTERN)


def test_every_figure_stands_on_the_page():
    shown = numbers_on(PAGE.read_text(encoding="utf-8"))
    unseen = [float("-inf")] * 6
    wanted = [
        *FIGURES["inputs"],
        *(row for figures in FIGURES["plain"].values() for row in figures),
        *(row + unseen[len(row) :] for row in FIGURES["causal_scores"]),
        *(row + [0.0] * (6 - len(row)) for row in FIGURES["causal_softmax"]),
    ]
    assert [row for row in wanted if tuple(row) not in shown] == []


def test_the_pictures_of_the_page_are_those_in_the_folder(page, request):
    folder = PAGE.parent / "pictures"
    if request.config.getoption("--update-golden"):
        for name, svg in page["pictures"].items():
            (folder / name).write_text(svg, encoding="utf-8")
    for name, svg in page["pictures"].items():
        assert (folder / name).read_text(encoding="utf-8") == svg, f"{name}: run --update-golden"


def test_the_page_shows_every_picture_that_it_makes(page):
    shown = re.findall(r"\]\(pictures/([^)]+)\)", PAGE.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(page["pictures"])
