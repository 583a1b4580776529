"""docs/testing.md as a newcomer follows it: its test file is saved and run, and the fault is found.

Its other code blocks run as doctests, and its commands in test_documentation.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from handcraft.testing import Disagreement, assert_means
from handcraft.testing.means.meaning import MeantByProgram

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
HAND = json.loads((ROOT / "tests" / "golden" / "by_hand.json").read_text(encoding="utf-8"))

FILE = re.search(r"```python\n(# test_hand\.py\n.*?)```", PAGE, re.DOTALL)
SHOWN = re.search(r"```text\n\$ pytest -v test_hand\.py\n(.*?)```", PAGE, re.DOTALL)
WRONG = "c_attn[3, 2] = 0  # the number that was changed\n"

CHANGES = {"0": 0, "its negative": -1}


@pytest.fixture(scope="module")
def tested():
    """What the file defines, without the number that was changed."""
    assert FILE is not None
    defined = {"__name__": "test_hand"}
    exec(FILE[1].replace(WRONG, ""), defined)
    return defined


def lines_of(text):
    """The lines as they are compared: separators of pytest fill the width of a terminal."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_file_fails_as_the_page_shows_and_passes_when_it_is_mended(tmp_path):
    assert FILE is not None
    assert SHOWN is not None
    file = tmp_path / "test_hand.py"
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"]
    command += ["-p", "handcraft.testing.plugin", file.name]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "160"}

    def run():
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    file.write_text(FILE[1], encoding="utf-8")
    printed = iter(lines_of(run().stdout))
    for line in lines_of(SHOWN[1]):
        if line != "...":
            assert any(line in each for each in printed), line
    assert WRONG in FILE[1]
    file.write_text(FILE[1].replace(WRONG, ""), encoding="utf-8")
    assert "2 passed" in run().stdout


def test_without_the_changed_number_the_matrices_are_those_of_the_worked_example(tested):
    weights = tested["weights"]
    for name in ("wte", "wpe"):
        np.testing.assert_array_equal(weights[f"{name}.weight"], HAND[name])
    for name in ("c_attn", "c_proj"):
        np.testing.assert_array_equal(weights[f"h.0.attn.{name}.weight"], HAND[name]["w"])
    np.testing.assert_array_equal(weights["h.0.attn.c_proj.bias"], HAND["c_proj"]["b"])
    assert not np.any(HAND["c_attn"]["b"])


def changed(tested):
    """Each way to change one of the numbers that are not 0: which, and the weights."""
    for name, array in tested["weights"].items():
        for place in map(tuple, np.argwhere(array).tolist()):
            for how, factor in CHANGES.items():
                other = array.copy()
                other[place] *= factor
                yield (name, place, how), {**tested["weights"], name: other}


def error_rules(tested):
    """The rules that a failure may name."""
    return MeantByProgram(tested["means"]).rules


def test_every_number_that_matters_is_found_when_it_is_changed(tested):
    """A change that is not found changes no answer: the prompts are all there are."""
    harmless, found = [], 0
    for change, weights in changed(tested):
        model = tested["as_model"](weights, vocabulary="ab", heads=1)
        try:
            agreed = assert_means(model, tested["means"])
        except Disagreement as error:
            found += error.is_shortest and error.wrong.reason in error_rules(tested)
        else:
            assert agreed.is_all
            harmless.append(change)
    numbers = sum(np.count_nonzero(array) for array in tested["weights"].values())
    assert found + len(harmless) == 2 * numbers
    stated = re.search(
        r"each of the (\d+) numbers.*?these (\d+)\s+changes, (\d+) change no answer", PAGE, re.DOTALL
    )
    assert stated is not None, (numbers, len(harmless), harmless)
    assert [int(number) for number in stated.groups()] == [numbers, 2 * numbers, len(harmless)], (
        harmless
    )
