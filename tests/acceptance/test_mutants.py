"""`make mutants` knows the files of the compiler, and their tests."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parents[2]


def test_every_file_and_test_that_mutants_are_tried_on_is_there():
    with patch.object(sys, "path", [str(ROOT / "benchmarks"), *sys.path]):
        mutants = runpy.run_path(str(ROOT / "benchmarks" / "mutants.py"))  # it looks up the tests
    missing = [path for path in mutants["NEAR"] if not (ROOT / "handcraft" / path).exists()]
    assert missing == []
