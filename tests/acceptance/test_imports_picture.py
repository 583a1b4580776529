"""docs/pictures/imports.svg shows what is imported now."""

from __future__ import annotations

import runpy
from html import unescape
from pathlib import Path
from re import findall

ROOT = Path(__file__).parents[2]
DRAWN = runpy.run_path(str(ROOT / "docs" / "draw_imports.py"))


def titles() -> set[str]:
    """The nodes and arrows of the picture."""
    svg = (ROOT / "docs" / "pictures" / "imports.svg").read_text()
    return {unescape(title) for title in findall(r"<title>(.*?)</title>", svg)} - {"imports"}


def test_the_picture_of_imports_is_the_real_one():
    downward, upward = DRAWN["imports"]()
    arrows = DRAWN["reduced"](downward) | upward
    names = {name for layer in DRAWN["layers"]() for name in layer}
    assert titles() == names | {f"{one}->{other}" for one, other in arrows}, "run docs/draw_imports.py"


def test_every_package_is_in_a_layer_and_described():
    names = {name for layer in DRAWN["layers"]() for name in layer}
    downward, upward = DRAWN["imports"]()
    assert {name for pair in downward | upward for name in pair} == names
    assert names >= set(DRAWN["BOXES"])


def test_no_arrow_is_lost_by_leaving_out_what_a_longer_path_implies():
    downward, _ = DRAWN["imports"]()
    few, reached = DRAWN["reduced"](downward), DRAWN["_reached"]
    assert few < downward
    for name in {one for one, _ in downward}:
        assert reached(name, few) == reached(name, downward)
