"""The facts in a config.json that decide the logits, read one by one, whatever the family of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handcraft.architecture import Activation, Architecture
from handcraft.errors import CheckpointError, HandcraftError
from handcraft.formats.foreign_files import shown
from handcraft.model import Shape

LARGEST = 2**31 - 1
"""The largest size that is accepted."""


@dataclass(frozen=True)
class Config:
    """The facts in config.json that decide the logits.

    The id `padding` fills up batches and does nothing else; None where there is none. What Llama adds
    to the sizes of GPT-2 is described at `Shape`.
    """

    architecture: Architecture
    n_vocab: int
    n_positions: int
    n_embd: int
    n_layer: int
    n_head: int
    n_inner: int
    padding: int | None
    n_kv_head: int | None = None
    head_dim: int | None = None

    @property
    def shape(self) -> Shape:
        """The sizes, block by block; only once `n_layer` is known to be true."""
        return Shape(
            self.n_vocab,
            self.n_positions,
            self.n_embd,
            self.n_head,
            (self.n_inner,) * self.n_layer,
            self.n_kv_head,
            self.head_dim,
        )


class Facts:
    """Reads facts from config.json one by one, and collects what is wrong with them.

    A wrong fact is replaced by a right one, so that the others can be checked.

    Args:
        path: of the file.
        found: its contents.
        defaults: the value of each fact where config.json is silent.
        aliases: the other name of each fact that has one.
    """

    def __init__(
        self,
        path: Path,
        found: Mapping[str, Any],
        defaults: Mapping[str, object],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.found = found
        self.defaults = defaults
        self.aliases = aliases or {}
        self.problems: list[HandcraftError] = []

    def refuse(self, what: str, fix: str) -> None:
        """Add a problem."""
        self.problems.append(CheckpointError(what, where=self.path, fix=fix))

    def value(self, name: str) -> Any:
        """The value of a fact, unchecked."""
        other = self.aliases.get(name, name)
        if name in self.found and other in self.found and self.found[name] != self.found[other]:
            self.refuse(
                f"{name} is {shown(self.found[name])}, and {other} {shown(self.found[other])}",
                "they are two names of one size: leave one out",
            )
        return self.found.get(name, self.found.get(other, self.defaults[name]))

    def size(self, name: str, least: int = 1) -> int:
        """A size."""
        value = self.value(name)
        if type(value) is int and least <= value <= LARGEST:
            return value
        self.refuse(f"{name} is {shown(value)}", f"it must be an integer from {least} to {LARGEST}")
        return 1

    def size_or(self, name: str, default: int) -> int:
        """A size that may be null, which stands for another."""
        return default if self.value(name) is None else self.size(name)

    def flag(self, name: str) -> bool:
        """A fact that holds or not."""
        value = self.value(name)
        if isinstance(value, bool):
            return value
        self.refuse(f"{name} is {shown(value)}", "it must be true or false")
        return False

    def epsilon(self, name: str, default: float) -> float:
        """What a norm adds to the variance."""
        value = self.value(name)
        if type(value) in (int, float) and 0 <= value <= 1:
            return float(value)
        self.refuse(f"{name} is {shown(value)}", "it must be a number from 0 to 1")
        return default

    def activation(self, name: str, known: Mapping[str, Activation]) -> Activation:
        """An activation by its name."""
        value = self.value(name)
        if isinstance(value, str) and value in known:
            return known[value]
        self.refuse(f"{name} is {shown(value)}", f"one of these can be read: {', '.join(known)}")
        return next(iter(known.values()))
