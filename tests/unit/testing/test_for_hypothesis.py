"""`st.from_type` makes our types, and Hypothesis starts without importing any of them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

CHECK = """
found = set()
@hypothesis.settings(database=None, max_examples=20, deadline=None)
@hypothesis.given(st.from_type(Program), st.from_type(Vocabulary), st.from_type(Prompts))
def collect(program, vocabulary, prompts):
    assert program.meaning(program.vocabulary.tokens[0]) in program.vocabulary
    assert vocabulary.tokens
    assert prompts.context > 0
    found.add(str(program))
collect()
assert len(found) > 3
"""

ORDERS = {
    "hypothesis first": """
import sys, hypothesis, hypothesis.strategies as st
from handcraft.testing.for_hypothesis import register
register(); register()
assert "numpy" not in sys.modules
before = list(sys.meta_path)
from handcraft import Program, Prompts, Vocabulary
assert len(sys.meta_path) == len(before) - 1, "the hook is gone"
import inspect
assert "class Program" in inspect.getsource(sys.modules[Program.__module__])
""",
    "handcraft first": """
from handcraft import Program, Prompts, Vocabulary
import sys, hypothesis, hypothesis.strategies as st
from handcraft.testing.for_hypothesis import register
before = list(sys.meta_path)
register()
assert before == sys.meta_path
""",
}


@pytest.mark.parametrize("order", ORDERS)
def test_our_types_are_made_in_whatever_order_packages_are_imported(order):
    subprocess.run([sys.executable, "-c", ORDERS[order] + CHECK], check=True)


def test_the_entry_points_are_what_pytest_and_hypothesis_look_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"]
    plugin = import_module(points["pytest11"]["handcraft"])
    assert plugin.pytest_addoption
    module, _, function = points["hypothesis"]["handcraft"].partition(":")
    assert callable(getattr(import_module(module), function))
