"""The weights of a model, divided by what they serve: every weight that is not 0 is in one component.

A weight that serves one rule or one value is in the component of this rule or value. A weight that
serves several, such as a bias that is the sum of two, is in a component for this combination.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
import numpy.typing as npt

from handcraft.errors import GroundTruthError
from handcraft.language.graph.node import Node
from handcraft.language.meaning import MeantRule
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.origin import Origin
from handcraft.weights import Weights

Ids = npt.NDArray[np.int64]


class Serves(Enum):
    """What the weights of a component serve."""

    RULE = "rule"
    """One rule: they write its logits, or compute its answer."""
    VALUE = "value"
    """One value that the program computes, and that its rules read."""
    MODEL = "model"
    """All of the model: embeddings, LayerNorm, constants."""
    SEVERAL = "several"
    """Several of these at once."""


@dataclass(frozen=True, eq=False)
class Component:
    """All weights of a model that serve the same rule, value, or combination of these.

    Args:
        name: what they serve, in words.
        serves: which kind of thing that is.
        origins: what they serve, with the place where it was written.
        rules: the rules among these, by number from 0.
        places: in each tensor the weights, counted row by row.
        values: the share that it has of each of these weights; None if that is all of it.
    """

    name: str
    serves: Serves
    origins: tuple[Origin, ...]
    rules: tuple[int, ...] = ()
    places: Mapping[str, Ids] = field(default_factory=dict, repr=False)
    values: Mapping[str, Array] | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """How many weights it has."""
        return sum(len(places) for places in self.places.values())

    def share(self, model: Model, tensor: str) -> Array:
        """What it has of each of its weights in a tensor."""
        if self.values is not None:
            return self.values[tensor]
        return np.asarray(model.tensors[tensor].reshape(-1)[self.places[tensor]])


def partition(weights: Weights, meant: Sequence[MeantRule] = ()) -> tuple[Component, ...]:
    """The components of a model, in the order of the tensors; each weight that is not 0 is in one.

    Args:
        weights: those of the model, and what each serves.
        meant: the rules of the program that can fire; none where only circuits are known.

    Raises:
        GroundTruthError: it is not known what a weight serves.
    """
    rules = _rules_by_origin(meant, _served(weights))
    places: dict[frozenset[Origin], dict[str, list[int]]] = {}
    order: dict[frozenset[Origin], tuple[Origin, ...]] = {}
    for tensor, values in weights.model.tensors.items():
        known = weights.origins.get(tensor, {})
        for index in np.argwhere(values).tolist():
            served = tuple(known.get(tuple(index), ()))
            if not served:
                raise GroundTruthError(
                    f"it is not known what {tensor}{index} serves",
                    fix="compile the program again, and leave its weights as they are",
                )
            key = frozenset(served)
            order.setdefault(key, served)
            flat = int(np.ravel_multi_index(tuple(index), values.shape))
            places.setdefault(key, {}).setdefault(tensor, []).append(flat)
    found = [
        Component(
            " + ".join(origin.what for origin in order[key]),
            _serves(order[key], rules),
            order[key],
            tuple(sorted({rule for origin in key for rule in rules.get(origin, ())})),
            {tensor: np.array(flat, dtype=np.int64) for tensor, flat in each.items()},
        )
        for key, each in places.items()
    ]
    return tuple(_named(found))


def without(model: Model, component: Component) -> Model:
    """A model from whose weights a component is subtracted: those that are all in it become 0."""
    tensors = dict(model.tensors)
    for tensor, places in component.places.items():
        changed = tensors[tensor].copy()
        flat = changed.reshape(-1)
        flat[places] = flat[places].astype(np.float64) - component.share(model, tensor)
        tensors[tensor] = changed
    return replace(model, tensors=tensors)


def added_up(model: Model, components: Sequence[Component]) -> dict[str, Array]:
    """The tensors that the components add up to."""
    total = {name: np.zeros(tensor.shape) for name, tensor in model.tensors.items()}
    for component in components:
        for tensor, places in component.places.items():
            total[tensor].reshape(-1)[places] += component.share(model, tensor)
    return {name: each.astype(model.tensors[name].dtype) for name, each in total.items()}


def largest_rest(model: Model, components: Sequence[Component]) -> float:
    """The largest difference of a weight from what the components add up to."""
    total = added_up(model, components)
    return max(float(np.abs(total[name] - each).max(initial=0)) for name, each in model.tensors.items())


def _served(weights: Weights) -> set[Origin]:
    """All that weights serve."""
    every = {id(served): served for each in weights.origins.values() for served in each.values()}
    return {origin for served in every.values() for origin in served}


def _rules_by_origin(
    rules: Sequence[MeantRule], served: Container[Origin]
) -> Mapping[Origin, tuple[int, ...]]:
    """Which rules an origin stands for: the rule itself.

    Where no weight serves a rule, what computes its answer writes its logits, and stands for it.
    """
    found: dict[Origin, tuple[int, ...]] = {}
    for number, rule in enumerate(rules):
        origin = rule.origin
        if origin not in served and isinstance(rule.answer, Node):
            origin = rule.answer.origin
        found[origin] = (*found.get(origin, ()), number)
    return found


def _serves(origins: Sequence[Origin], rules: Mapping[Origin, tuple[int, ...]]) -> Serves:
    if len(origins) > 1:
        return Serves.SEVERAL
    (origin,) = origins
    if origin in rules:
        return Serves.RULE
    return Serves.VALUE if origin.place is not None else Serves.MODEL


def _named(components: Sequence[Component]) -> list[Component]:
    """The components, each with a name of its own: where two are called alike, with their places."""
    names = [component.name for component in components]
    found = []
    for component in components:
        if names.count(component.name) > 1:
            component = replace(component, name=" + ".join(map(str, component.origins)))
        found.append(component)
    return found
