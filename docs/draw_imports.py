"""Draw which package imports which: docs/pictures/imports.svg, by `python docs/draw_imports.py`.

An arrow goes from a package to what it imports. Arrows that a longer path implies are left out. Dashed
arrows are the exceptions in pyproject.toml: methods of results, which call functions of packages above.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeAlias

import graphviz
import grimp

from handcraft.draw import render
from handcraft.draw.canvas.style import EDGE, GRAPH, NODE, Kind, node_style
from handcraft.draw.graphs.label import box

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "imports.svg"

Arrows: TypeAlias = "frozenset[tuple[str, str]]"
"""Pairs of packages: what imports, and what is imported."""

BOTTOM = ("display", "errors", "limits", "memory", "on_use", "phrase", "progress")
"""Modules that every package may import; they are drawn as one."""

BOXES: dict[str, tuple[Kind, str]] = {
    "cli": ("head", "the commands"),
    "conformance": ("head", "known answers"),
    "dataset": ("head", "a data set"),
    "torch": ("head", "training the rest"),
    "page": ("head", "a page for a model"),
    "ground_truth": ("head", "what is true"),
    "testing": ("head", "tests of models"),
    "disguise": ("head", "looking trained"),
    "formats": ("head", "models as files"),
    "proofs": ("head", "certificates"),
    "rasp": ("head", "RASP programs"),
    "verify": ("head", "meaning, tried"),
    "compiler": ("neurons", "program to circuits"),
    "weights": ("neurons", "circuits to arrays"),
    "draw": ("input", "pictures"),
    "subject": ("input", "what is known"),
    "explain": ("input", "one prediction"),
    "random_programs": ("input", "programs"),
    "language": ("subspace", "rules, expressions"),
    "circuits": ("subspace", "heads, neurons"),
    "model": ("subspace", "GPT-2, Llama in NumPy"),
    "rotary": ("subspace", "scores by distance"),
}
"""The colour of a package, and what it contains. Blue are the three levels of a program, green what
lowers one level to the next, yellow what uses the compiler."""


def layers() -> list[list[str]]:
    """The layers of pyproject.toml, from the top; the modules at the bottom are one."""
    found = []
    for layer in _contract()["layers"]:
        names = [name.strip() for name in layer.split("|")]
        names = [name for name in names if name not in (*BOTTOM, "__main__")]
        found += [names] if names else []
    return [*found, [", ".join(BOTTOM)]]


def imports() -> tuple[Arrows, Arrows]:
    """Which package imports which: in the order of the layers, and the exceptions to it."""
    graph = grimp.build_graph("handcraft")
    exceptions = {tuple(each.split(" -> ")) for each in _contract()["ignore_imports"]}
    downward: set[tuple[str, str]] = set()
    upward: set[tuple[str, str]] = set()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = _package(importer), _package(imported)
            excepted = any(
                importer == one and f"{imported}.".startswith(f"{other}.") for one, other in exceptions
            )
            if pair[0] != pair[1] and all(pair):
                (upward if excepted else downward).add(pair)
    return frozenset(downward), frozenset(upward)


def reduced(arrows: Arrows) -> Arrows:
    """The arrows that no longer path implies.

    >>> sorted(reduced(frozenset({("a", "b"), ("b", "c"), ("a", "c")})))
    [('a', 'b'), ('b', 'c')]
    """
    return frozenset(
        (one, other)
        for one, other in arrows
        if not any(other in _reached(between, arrows) for begin, between in arrows if begin == one)
    )


def _reached(name: str, arrows: Arrows) -> set[str]:
    """What a package imports, also by way of others."""
    found: set[str] = set()
    todo = [name]
    while todo:
        here = todo.pop()
        new = {other for one, other in arrows if one == here} - found
        found |= new
        todo += new
    return found


def picture() -> str:
    """The graph in the language of Graphviz."""
    downward, upward = imports()
    line = {**EDGE, "color": "#64748b"}
    graph = graphviz.Digraph("imports", graph_attr=GRAPH, node_attr=NODE, edge_attr=line)
    for names in layers():
        with graph.subgraph() as rank:
            rank.attr(rank="same")
            for name in names:
                kind, what = BOXES.get(name, ("input", ""))
                rank.node(name, **box([name], [what] if what else []), **node_style(kind))
    for pair in sorted(reduced(downward)):
        graph.edge(*pair)
    for pair in sorted(upward):
        graph.edge(*pair, style="dashed", constraint="false", color="#b98a2f")
    return str(graph.source)


def _package(module: str) -> str:
    """The package that a module is in, by the name that is drawn; empty for the public names."""
    parts = module.split(".")
    name = parts[1] if len(parts) > 1 else ""
    if name in BOTTOM:
        return ", ".join(BOTTOM)
    return "" if name == "__main__" else name


def _contract() -> dict[str, list[str]]:
    """What import-linter checks."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    layered: dict[str, list[str]] = next(each for each in contracts if each["type"] == "layers")
    return layered


if __name__ == "__main__":
    PICTURE.write_bytes(render(picture(), "svg"))
    print(f"wrote {PICTURE.relative_to(ROOT)}")
