"""Register strategies for handcraft's types, so that `st.from_type(Program)` makes programs.

Hypothesis calls `register` when it is imported, in every project where handcraft is installed. So
nothing is imported here before the types are imported: an import hook registers the strategies then.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypothesis import strategies as st

    from handcraft.language import Program, Prompts
    from handcraft.vocabulary import Vocabulary

TYPES = "handcraft.language.program"
"""The module that is imported wherever a type is: who imports it waits for numpy anyway."""


def register() -> None:
    """Register strategies for handcraft's types: now if they are imported, else when they are."""
    if TYPES in sys.modules:
        _register_types()
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


def _register_types() -> None:
    from hypothesis import strategies as st

    from handcraft.language.program import Program
    from handcraft.language.sequences import Prompts
    from handcraft.vocabulary import Vocabulary

    # Functions, since Hypothesis looks into a strategy at once, and the types are not all imported yet.
    st.register_type_strategy(Program, lambda _: _programs())
    st.register_type_strategy(Prompts, lambda _: _prompts())
    st.register_type_strategy(Vocabulary, lambda _: _vocabularies())


def _programs() -> st.SearchStrategy[Program]:
    from hypothesis import strategies as st

    from handcraft.testing import rule_programs, sequence_programs

    return st.one_of(rule_programs(), sequence_programs())


def _prompts() -> st.SearchStrategy[Prompts]:
    from handcraft.testing import declared_prompts

    return declared_prompts()


def _vocabularies() -> st.SearchStrategy[Vocabulary]:
    from handcraft.testing import vocabularies

    return vocabularies()


class _Waiting(MetaPathFinder):
    """Waits until the module with the types is imported, and then registers them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as it is found without this; after it is run, the types are registered."""
        if fullname != TYPES:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(Loader):
    """Runs a module as its loader does, and registers the types of it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module, made as it always is."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module; the loader that did so is put back, since others ask it for the source."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register_types()
