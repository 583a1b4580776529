"""Packages that import on use list their names for type checkers too: all lists are the same."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

import handcraft

ROOT = Path(handcraft.__file__).parent
PACKAGES = {
    ".".join(path.parent.relative_to(ROOT.parent).parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("__init__.py"))
    if "= imported_on_use(" in path.read_text(encoding="utf-8")
}


def for_type_checkers(tree):
    """Module and name of each import under `TYPE_CHECKING`."""
    (branch,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {(part.module, name.name) for part in branch.body for name in part.names}


def on_use(tree):
    """Module and name of each that is imported on use."""
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "imported_on_use"
    )
    homes = ast.literal_eval(call.args[1])
    return {(module, name) for module, names in homes.items() for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_on_use_is_what_type_checkers_see(package):
    found, seen = on_use(PACKAGES[package]), for_type_checkers(PACKAGES[package])
    assert sorted(name for _, name in found) == sorted(name for _, name in seen)
    module = import_module(package)
    assert {name for _, name in found} <= set(module.__all__)
    for home, name in found | seen:
        assert getattr(module, name) is getattr(import_module(home), name)


def test_there_are_such_packages():
    assert {"handcraft", "handcraft.verify", "handcraft.compiler"} <= PACKAGES.keys()
