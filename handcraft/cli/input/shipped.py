"""The programs that come with the package."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import handcraft
from handcraft.cli.input.read_text import read_text


def shipped_programs() -> dict[str, Path]:
    """The programs that come with the package, by name."""
    package = Path(handcraft.__file__).parent
    for folder in (package / "programs", package.parent / "programs"):
        if folder.is_dir():
            files = sorted([*folder.glob("*.py"), *folder.glob("*.rules")])
            return {path.stem: path for path in files}
    return {}


def shipped_sizes() -> dict[str, dict[str, int]]:
    """Blocks, width, heads and parameters of each shipped program as a GPT-2, as they were measured."""
    return _beside_programs("sizes.json")


def shipped_proofs() -> dict[str, dict[str, Any]]:
    """What `handcraft prove` found of each shipped program: the verdict, and the margin or why not."""
    return _beside_programs("proofs.json")


def _beside_programs(name: str) -> dict[str, Any]:
    """A file of measures in the folder of the programs; empty where it is missing."""
    for path in shipped_programs().values():
        file = path.parent / name
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {}


def summary(path: Path) -> str:
    """What a program file says it is, in one line; the file is read, not run."""
    text = read_text(path)
    if path.suffix == ".rules":
        first = next((line for line in text.splitlines() if line.strip()), "")
        return first.lstrip("# ").strip() if first.startswith("#") else ""
    docstring = ast.get_docstring(ast.parse(text))
    return docstring.splitlines()[0] if docstring else ""
