"""Random programs of every kind mean in plain Python what the compiler makes of them, at every level.

`make bench-random` tries thousands; benchmarks/random_programs.py draws and compares.
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from sweeps import sweep

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
with patch.object(sys, "path", [str(BENCHMARKS), *sys.path]):
    RANDOM = runpy.run_path(str(BENCHMARKS / "random_programs.py"))

KINDS, trial, compared, Wrong = (RANDOM[name] for name in ("KINDS", "trial", "compared", "Wrong"))


@pytest.mark.parametrize("number", range(sweep(96)))
def test_a_random_program_means_the_same_at_every_level(number):
    found = trial(9 * number)  # of every kind, for every target and dtype
    assert found.wrong is None, found
    assert found.refused or found.answers


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_that_means_something_else_is_found(kind):
    case = KINDS[kind](Random(5))
    right = case.meaning
    other = replace(case, meaning=lambda text: [changed(case, value) for value in right(text)])
    compared(case, "block", "float32", Random(0))
    with pytest.raises(Wrong):
        compared(other, "block", "float32", Random(0))


def changed(case, value):
    """A value that is another one."""
    if isinstance(value, tuple):
        return tuple(not each if isinstance(each, bool) else f"not {each}" for each in value)
    if value in case.vocabulary:
        return next(token for token in case.vocabulary if token != value)
    return "nothing like it"
