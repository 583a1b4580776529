"""Public names whose modules are imported when a name is first used, so that packages start fast."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from sys import modules
from threading import Lock
from typing import Any

_PATCHED = Lock()
"""Locked while `builtins.__import__` is replaced: not for long, since nothing is imported meanwhile."""


class _Later:
    """Stands for a name of a module, or for the module, until it is imported."""

    def __init__(self, module: str, name: str = "") -> None:
        self.module, self.name = module, name

    def __getattr__(self, name: str) -> _Later:
        return _Later(self.module, name)


@contextmanager
def imported_on_use(package: str) -> Iterator[None]:
    """A context manager for the ``from module import name`` of a package, which it puts off.

    A reader and a type checker see ordinary imports. Each name is imported when it is first used, by a
    ``__getattr__`` that the package gets (PEP 562). Imports of other modules and threads are untouched.

    Args:
        package: its ``__name__``.
    """
    namespace = vars(modules[package])
    do_import = builtins.__import__

    def put_off(name: str, importer: object = None, *rest: Any) -> object:
        return _Later(name) if importer is namespace else do_import(name, importer, *rest)  # type: ignore[arg-type]

    with _PATCHED:
        builtins.__import__ = put_off  # type: ignore[assignment]
        try:
            yield
        finally:
            builtins.__import__ = do_import
    later = {name: value for name, value in namespace.items() if isinstance(value, _Later)}
    for name in later:
        del namespace[name]

    def get(name: str) -> object:
        if name not in later:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(later[name].module), later[name].name)
        namespace[name] = value  # so that it is looked up once
        return value

    namespace["__getattr__"] = get
    namespace["__dir__"] = lambda: sorted({*namespace, *later})
