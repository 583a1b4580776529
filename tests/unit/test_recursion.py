"""No function calls itself on what a user wrote, unless something bounds how deep that goes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import handcraft

ROOT = Path(handcraft.__file__).parent

BOUNDED = {
    "circuits/number.py: _from_sympy": "once: a float of sympy becomes a fraction of it",
    "circuits/resolve.py: _resolved": "as deep as the dataclasses that circuits are made of",
    "cli/output/printing.py: error_data": "once: several errors hold single ones",
    "compiler/features/reuse.py: with_reuse": "once: without the sizes that are asked for",
    "compiler/passes/aggregates/begun_counts.py: begun_count": "once: then all sources are visible",
    "compiler/passes/fold.py: rebuild": "each time a node gets a domain with fewer values",
    "conformance/engines/of_class.py: _in_memory": "as deep as the axes of an array",
    "formats/huggingface/disagreements.py: _compared": "as deep as what handcraft writes",
    "language/graph/reachable.py: _column": "once: rows that are excluded are left out",
    "language/written/variable_name.py: _results": "as deep as Python's parser reads choices",
    "language/written/variable_name.py: _unpacked": "as deep as Python's parser reads tuples",
    "page/data.py: exact": "as deep as a node of a certificate",
    "testing/models/checked.py: _run": "once: texts that fail together are run one by one",
    "weights/norms.py: _as_squares": "the most squares that are asked for",
    "weights/plan.py: _filled": "once: an even width has all numbers",
}
"""Functions that call themselves, and how often at most. A function for which nothing bounds that is
written as a loop, or with `handcraft.compiler.deep_calls`. Functions that call one another are not seen
here: `display.py` (DEPTH), `language/regular/read.py` (REGEX_DEPTH), `testing/making.py` (what is left
of a budget)."""


def functions(tree: ast.AST, *, in_class: bool = False) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """Every function, and whether it is a method."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield node, in_class
        if isinstance(node, ast.stmt):
            yield from functions(node, in_class=isinstance(node, ast.ClassDef))


def calls_itself(function: ast.FunctionDef, *, is_method: bool) -> bool:
    """Whether it calls its own name, other than as a call that `result_of` makes."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    on_own_stack = {
        argument for call in calls if name_of(call) == "result_of" for argument in call.args
    }
    return any(
        name_of(call) == function.name and isinstance(call.func, ast.Attribute) is is_method
        for call in calls
        if call not in on_own_stack
    )


def name_of(call: ast.Call) -> str | None:
    """What it calls: a name, or one of ``self`` or ``cls``."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
            return name
    return None


def test_functions_that_call_themselves_are_known_to_end():
    found = set()
    for path in ROOT.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {name_of(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for function, is_method in functions(tree):
            if function.name in called and calls_itself(function, is_method=is_method):
                found.add(f"{path.relative_to(ROOT).as_posix()}: {function.name}")
    assert found == BOUNDED.keys()
