"""Warnings are errors where our own code raises or causes them, and nowhere else."""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path

import pytest
from _pytest.config import parse_warning_filter

ROOT = Path(__file__).parents[2]
FILTERS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"][
    "ini_options"
]["filterwarnings"]
OURS = [path for folder in ("handcraft", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
THEIRS = ("transformers.models.gpt2.modeling_gpt2", "torch.nn.modules.module", "nnsight", "onnx")


def imported_as(path):
    """The name of a module as pytest imports it: from the first folder above that is no package."""
    name = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").exists():
        name.insert(0, folder.name)
        folder = folder.parent
    return ".".join(name)


def warn(module):
    """Warn under the filters of pyproject.toml as if a line of `module` did."""
    with warnings.catch_warnings(record=True):
        warnings.resetwarnings()
        for entry in FILTERS:
            warnings.filterwarnings(*parse_warning_filter(entry, escape=False))
        warnings.warn_explicit("old name", FutureWarning, f"{module}.py", 1, module=module)


def test_a_warning_that_any_file_of_ours_causes_is_an_error():
    missed = []
    for name in ["<run_path>", "__main__", *{imported_as(path) for path in OURS}]:
        try:
            warn(name)
        except FutureWarning:
            continue
        missed.append(name)
    assert missed == [], "name them in filterwarnings, in pyproject.toml"


@pytest.mark.parametrize("module", THEIRS)
def test_what_other_packages_warn_each_other_of_is_no_error(module):
    warn(module)
