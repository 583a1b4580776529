"""A disguise in the making: a model in float64, the map that led to it, and what a transform is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from handcraft.disguise.carried import Carried, unchanged
from handcraft.disguise.moved import moved
from handcraft.model import Model
from handcraft.model.layers.attention import Array

Radius = Callable[[Model], float]
"""How far, relatively, all weights of a model may move, as it is proved; 0 where nothing is."""


@dataclass(frozen=True)
class Draft:
    """A model in float64, and the map from the original to it.

    Args:
        model: all tensors are in float64, so that weights are rounded once, at the end.
        carried: the map from the original.
        dtype: the dtype in which the disguise will be stored.
        untie: whether the unembedding may become a tensor of its own.
        radius: proves how far weights may move; None if nothing can be proved.
        length: the largest number of tokens after which an answer is promised.
        measured: numbers that transforms measured, by name.
    """

    model: Model
    carried: Carried
    dtype: str
    length: int
    measured: Mapping[str, float] = field(default_factory=dict)
    untie: bool = False
    radius: Radius | None = None

    def then(self, step: Carried) -> Draft:
        """The draft, moved once more.

        Raises:
            ModelError: the unembedding would have to become a tensor of its own, and must not.
        """
        model = moved(self.model, step, untie=self.untie)
        return replace(self, model=model, carried=self.carried.then(step))

    def with_measured(self, what: str, number: float) -> Draft:
        """The draft with a number that was found on the way; of two, the larger one counts."""
        return replace(
            self, measured={**self.measured, what: max(number, self.measured.get(what, 0.0))}
        )

    def with_tensors(self, changed: Mapping[str, Array]) -> Draft:
        """The draft with other tensors in place of some."""
        tensors = {**self.model.tensors, **changed}
        return replace(self, model=replace(self.model, tensors=tensors))


class Transform(Protocol):
    """One way to disguise a model; its fields are its parameters.

    Args:
        guarantee: a sentence that says what stays the same, and why.
    """

    guarantee: ClassVar[str]

    def apply(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The draft, disguised in this way; the same generator gives the same result."""


def draft_of(
    model: Model, dtype: str, length: int, *, untie: bool = False, radius: Radius | None = None
) -> Draft:
    """The model itself, in float64."""
    tensors = {name: np.asarray(each, dtype=np.float64) for name, each in model.tensors.items()}
    wide = replace(model, tensors=tensors)
    return Draft(wide, unchanged(model.shape), dtype, length, untie=untie, radius=radius)


def parameters(transform: Any) -> dict[str, object]:
    """The parameters of a transform, by name."""
    return asdict(transform)
