"""Weights before they are arrays: exact numbers, each with its place and its origin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from handcraft.circuits import Number
from handcraft.origin import Origin

Index = tuple[int, ...]


@dataclass
class PlacedTensor:
    """The nonzero entries of one tensor.

    Args:
        name: as in GPT-2 checkpoints.
        shape: its sizes.
        axes: for each axis, what every index along it stands for.
        values: the exact number at each index that holds one.
        origins: what each of them serves.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[tuple[str, ...], ...]
    values: dict[Index, Number] = field(default_factory=dict)
    origins: dict[Index, tuple[Origin, ...]] = field(default_factory=dict)

    def add(self, index: Index, number: Number, origins: Iterable[Origin]) -> None:
        """Add `number` at `index`; numbers that meet there add up, and so do their origins."""
        if number == 0:
            return
        if index in self.values:
            self.values[index] = self.values[index] + number
            known = self.origins[index]
            new = tuple(origin for origin in origins if origin not in known)
            self.origins[index] = known + new
        else:
            self.values[index] = number
            self.origins[index] = tuple(origins)

    def describe(self, index: Index) -> str:
        """The place in words: what the row and the column stand for."""
        return " -> ".join(axis[i] for axis, i in zip(self.axes, index, strict=True))


@dataclass(frozen=True)
class Placement:
    """All tensors of a model as exact entries.

    Args:
        tensors: by name, in the order of the checkpoint.
    """

    tensors: dict[str, PlacedTensor]
