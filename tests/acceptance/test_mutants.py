"""`make mutants`: what is changed in a file, and which tests run first."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mutants():
    with patch.object(sys, "path", [str(ROOT / "benchmarks"), *sys.path]):
        return runpy.run_path(str(ROOT / "benchmarks" / "mutants.py"))


@pytest.mark.parametrize("path", ["compiler/search.py", "weights/layers.py"])
def test_a_mutant_changes_one_place_of_one_function(mutants, path):
    source = (ROOT / "handcraft" / path).read_text(encoding="utf-8")
    found = mutants["mutants_of"](path)
    assert len(found) > 20
    assert len({mutant.source for mutant in found}) == len(found)
    names = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    for mutant in found:
        assert ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(source)), mutant
        changed = [
            (old, new)
            for old, new in zip(source.splitlines(), mutant.source.splitlines(), strict=False)
            if old != new
        ]
        assert changed[0][0] == source.splitlines()[mutant.line - 1], mutant
        assert mutant.function.rpartition(".")[2] in {"", *names}


def test_the_tests_beside_a_file_run_first_and_the_quick_before_the_slow(mutants):
    near, slow, far = (
        f"tests/{name}" for name in ("unit/weights/a::n", "unit/weights/a::s", "unit/b::f")
    )
    recorded = {
        "seconds": {slow: 2.0, far: 0.1, near: 1.0},
        "tests": {"weights/emit.py emit": [0, 1, 2], "weights/plan.py plan": [1]},
    }
    calls = mutants["Calls"](recorded)
    change = mutants["Mutant"]("weights/emit.py", 1, "emit", "0", "1", "")
    assert calls.of(change) == [near, slow, far]
    assert calls.first([near, slow, far], 3.0) == [near, slow]
    assert calls.first([slow], 1.0) == [slow]
