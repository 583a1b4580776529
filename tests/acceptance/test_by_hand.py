"""The worked example, laid out as circuits, against the numbers that were laid out by hand.

tests/golden/by_hand.json is the reference. The weights are read with NumPy alone, and run by the
formula in the reference's own words, so that nothing here leans on handcraft's forward pass.
"""

from __future__ import annotations

import json
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from handcraft import complete
from handcraft.cli.main import main
from handcraft.formats import load

ROOT = Path(__file__).parents[2]
REFERENCE = json.loads((ROOT / "tests" / "golden" / "by_hand.json").read_text(encoding="utf-8"))

ARRAYS = {
    "wte.weight": REFERENCE["wte"],
    "wpe.weight": REFERENCE["wpe"],
    "h.0.attn.c_attn.weight": REFERENCE["c_attn"]["w"],
    "h.0.attn.c_attn.bias": REFERENCE["c_attn"]["b"],
    "h.0.attn.c_proj.weight": REFERENCE["c_proj"]["w"],
    "h.0.attn.c_proj.bias": REFERENCE["c_proj"]["b"],
}


def handcraft(*arguments: object, cwd: Path) -> str:
    """What the command prints, run in this process; test_list_and_help.py starts it by itself."""
    out, err = StringIO(), StringIO()
    command = patch.object(sys, "argv", ["handcraft", *map(str, arguments)])
    with command, chdir(cwd), redirect_stdout(out), redirect_stderr(err), suppress(SystemExit):
        main()
    assert err.getvalue() == ""  # so that it did not fail
    return out.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("by_hand")
    program = ROOT / "programs" / "by_hand.py"
    options = ("--architecture", "block", "--format", "npz", "-o", here / "X")
    handcraft("compile", program, *options, cwd=here)
    return here / "X"


@pytest.fixture(scope="module")
def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "model.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def reference_logits(arrays: dict[str, np.ndarray], text: str) -> np.ndarray:
    """The formula of the reference: [position, n_vocab]."""
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}
    ids = ["ab".index(letter) for letter in text]
    x = wide["wte.weight"][ids] + wide["wpe.weight"][: len(ids)]
    q, k, v = np.split(x @ wide["h.0.attn.c_attn.weight"] + wide["h.0.attn.c_attn.bias"], 3, axis=1)
    scores = q @ k.T / np.sqrt(8) + np.triu(np.full((len(ids), len(ids)), -1e10), 1)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    y = weights / weights.sum(axis=1, keepdims=True) @ v
    x = x + y @ wide["h.0.attn.c_proj.weight"] + wide["h.0.attn.c_proj.bias"]
    return x @ wide["wte.weight"].T


def test_the_tensors_are_those_of_the_reference_and_no_others(arrays):
    assert sorted(arrays) == sorted(ARRAYS)


@pytest.mark.parametrize("name", ARRAYS)
def test_every_entry_equals_the_reference(arrays, name):
    np.testing.assert_array_equal(arrays[name], np.array(ARRAYS[name]))


@pytest.mark.parametrize("name", ARRAYS)
def test_the_weights_are_float32(arrays, name):
    assert arrays[name].dtype == np.float32


def test_float64_weights_equal_the_reference_too(tmp_path):
    program = ROOT / "programs" / "by_hand.py"
    options = ("--architecture", "block", "--dtype", "float64", "--format", "npz", "-o", "X")
    handcraft("compile", program, *options, cwd=tmp_path)
    with np.load(tmp_path / "X" / "model.npz", allow_pickle=False) as archive:
        for name, expected in ARRAYS.items():
            assert archive[name].dtype == np.float64
            np.testing.assert_array_equal(archive[name], np.array(expected))


@pytest.mark.parametrize("prompt", REFERENCE["completions"])
def test_the_command_line_completes_as_the_reference_does(folder, prompt):
    printed = handcraft("run", folder, prompt, "-n", 10, cwd=folder.parent)
    assert printed == REFERENCE["completions"][prompt] + "\n"


@pytest.mark.parametrize("prompt", REFERENCE["completions"])
def test_the_loaded_model_completes_as_the_reference_does(folder, prompt):
    assert f"{prompt} :: {complete(load(folder), prompt, 10)}" == REFERENCE["completions"][prompt]


@pytest.mark.parametrize("context", REFERENCE["logits"])
def test_the_logits_at_every_position_are_those_of_the_reference(folder, arrays, context):
    expected = np.array(REFERENCE["logits"][context])
    model = load(folder)
    np.testing.assert_array_equal(model.forward([model.vocabulary.ids(context)])[0], expected)
    np.testing.assert_array_equal(reference_logits(arrays, context), expected)


def test_27_of_27_tokens_of_the_aab_text_are_right(folder, arrays):
    text = "aab" * 10
    model = load(folder)
    right = 0
    for i in range(2, 29):
        context = text[:i][-5:]
        by_formula = "ab"[int(reference_logits(arrays, context)[-1].argmax())]
        by_model = complete(model, context, 1)
        right += by_formula == by_model == text[i]
    assert right == REFERENCE["accuracy"]["correct"] == 27


def test_the_program_holds_no_raw_matrix():
    source = (ROOT / "programs" / "by_hand.py").read_text(encoding="utf-8")
    assert "numpy" not in source
    assert "Matrix" not in source
    assert "entries" not in source
