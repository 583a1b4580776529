"""The programs of the gallery: a process runs each file once, and compiles it once for a target."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from handcraft import compile_program

FOLDER = Path(__file__).parents[1] / "programs"


@cache
def facts(name: str) -> dict[str, Any]:
    """All that a file of the gallery defines."""
    return runpy.run_path(str(FOLDER / f"{name}.py"))


@cache
def compiled(name: str, architecture: str = "gpt2", dtype: str = "float32", *, provable: bool = False):
    """A `program` of the gallery, compiled."""
    program = facts(name)["program"]
    return compile_program(program, architecture=architecture, dtype=dtype, provable=provable)


WRITING = [
    path.stem
    for path in sorted(FOLDER.glob("*.py"))
    if "\ndef meaning(" in path.read_text(encoding="utf-8")
]
"""Those that say in plain Python what they write: told by their text, since running them takes time."""


REFUSED = {
    "float32": frozenset(),
    "bfloat16": frozenset(
        {"add_ahead", "brackets", "dyck2", "histogram", "modular", "ngram", "subleq", "thirds"}
    ),
    "float16": frozenset({"add_ahead", "dyck2", "ngram"}),
}
"""For which programs a dtype is too coarse in gpt2: they are a `PrecisionError`."""


def pairs(names: Iterable[str], targets: Iterable[tuple[str, str]], *, refused: bool = False):
    """Every program, architecture and dtype that compiles, or every one that is refused."""
    return [
        (name, architecture, dtype)
        for architecture, dtype in targets
        for name in names
        if (name in REFUSED[dtype]) == refused
    ]
