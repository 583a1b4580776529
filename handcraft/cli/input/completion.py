"""Shell completion of program names."""

from __future__ import annotations

from glob import escape, glob
from pathlib import Path

from handcraft.cli.input.shipped import shipped_programs


def known_programs(incomplete: str) -> list[str]:
    """The shipped programs, rule and Python files, and folders that begin so."""
    shipped = [name for name in shipped_programs() if name.startswith(incomplete)]
    paths = sorted(glob(f"{escape(incomplete)}*"))
    folders = [f"{path}/" for path in paths if Path(path).is_dir()]
    files = [path for path in paths if path.endswith((".py", ".rules"))]
    return [*shipped, *folders, *files]
