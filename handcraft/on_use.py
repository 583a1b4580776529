"""Public names whose modules are imported when a name is first used, so that packages start fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from sys import modules


def imported_on_use(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """What a package defines as its ``__getattr__`` and ``__dir__`` (PEP 562).

    A type checker does not run this: for it the package imports the same names under ``TYPE_CHECKING``.
    `tests/unit/test_names_on_use.py` compares the two lists, and ``__all__``.

    Args:
        package: its name.
        homes: the names that each module defines.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home_of[name]), name)
        setattr(modules[package], name, value)  # so that it is looked up once
        return value

    def names() -> list[str]:
        return sorted({*vars(modules[package]), *home_of})

    return get, names
