"""What an adapter of an engine is: it says what it can do, loads models, and answers requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from handcraft.conformance.cases.request import Kind, Outcome, Request
from handcraft.conformance.models.diagnostic import DTYPES


@dataclass(frozen=True)
class Facts:
    """What is known of an engine before it runs.

    Args:
        name: the engine with its settings.
        version: its version.
        format: the format of the models that it loads.
        cannot: the kinds of requests that it cannot run, each with the reason.
        dtypes: in which it can run.
        models: the names of the models that it has, where it cannot load others.
    """

    name: str
    version: str
    format: str
    cannot: Mapping[Kind, str] = field(default_factory=dict)
    dtypes: tuple[str, ...] = DTYPES
    models: frozenset[str] | None = None


class Loaded(Protocol):
    """A model in an engine."""

    def answer(self, request: Request) -> Outcome:
        """Run a request of a kind that the engine can run."""
        ...


class Engine(Protocol):
    """An engine."""

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        ...

    def load(self, folder: Path, dtype: str) -> Loaded:
        """Load the model in a folder, which is in the format of the engine, and run it in `dtype`."""
        ...
