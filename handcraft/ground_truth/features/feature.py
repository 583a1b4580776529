"""The features of a residual stream: directions whose activations add up to it, beside a constant.

Something that is stored as one of several codewords, such as a token, has one feature for each of its
values, which is active where it has this value: a sparse autoencoder should find these. A number has
one feature for each dimension, whose activation grows with the number: its values lie on a line, so no
direction separates one value from the others. Numbers that never change are part of the constant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Encoding, Subspace
from handcraft.language.graph.domain import Value

Array = npt.NDArray[np.float64]

Write = Callable[[Subspace], Array]
"""What is added to the stream where each coordinate of a subspace grows by 1: [n_embd, width]."""


@dataclass(frozen=True, eq=False)
class Feature:
    """One direction of the residual stream.

    Args:
        name: what it means.
        of: the subspace that it is a part of.
        vector: the direction, [n_embd], of an activation of 1.
        dimension: the coordinate of that subspace that determines the activation, if there is no
            codeword.
        codeword: the feature is active where the coordinates of the subspace are these.
        value: the value that it stands for, if it stands for one.
        low: what is subtracted from a number, so that no activation is below 0 in the sample.
        unit: what a number is divided by, so that it is 1 on average where it is active.
    """

    name: str
    of: Subspace
    vector: Array = field(repr=False)
    dimension: int = 0
    codeword: tuple[float, ...] | None = field(default=None, repr=False)
    value: Value | None = None
    low: float = 0.0
    unit: float = 1.0

    def activation(self, numbers: Array) -> Array:
        """How active it is, given the coordinates of its subspace: [.., width] -> [..]."""
        if self.codeword is not None:
            return np.asarray(np.abs(numbers - self.codeword).max(axis=-1) < 1e-6, dtype=np.float64)
        return np.asarray((numbers[..., self.dimension] - self.low) / self.unit)


@dataclass(frozen=True, eq=False)
class Dictionary:
    """The features of one state of the residual stream.

    Args:
        features: all of them, in the order of the dimensions.
        constant: the stream if no feature is active: [n_embd].
    """

    features: tuple[Feature, ...]
    constant: Array = field(repr=False)

    @property
    def vectors(self) -> Array:
        """The directions: [feature, n_embd]."""
        return np.stack([feature.vector for feature in self.features])

    def activations(self, numbers: Mapping[Subspace, Array]) -> Array:
        """How active each feature is, given what every subspace stores: [.., feature]."""
        return np.stack([each.activation(numbers[each.of]) for each in self.features], axis=-1)

    def stream(self, activations: Array) -> Array:
        """The stream that these activations add up to: [.., feature] -> [.., n_embd]."""
        return np.asarray(activations @ self.vectors + self.constant)

    @property
    def exclusive(self) -> Mapping[Subspace, list[int]]:
        """The features of which at most one is active: those of the values of one subspace."""
        found: dict[Subspace, list[int]] = {}
        for number, feature in enumerate(self.features):
            if feature.value is not None:
                found.setdefault(feature.of, []).append(number)
        return {subspace: numbers for subspace, numbers in found.items() if len(numbers) > 1}


def dictionary(
    numbers: Mapping[Subspace, Array],
    write: Write,
    base: Array,
    written: Mapping[Subspace, frozenset[int]],
) -> Dictionary:
    """The features of a state.

    What a subspace may store follows from what writes to it; the scale of numbers is that of a sample.

    Args:
        numbers: what every subspace stores on a sample of texts: [text, position, width].
        write: the directions of its coordinates.
        base: what the stream is where all subspaces store 0: [n_embd].
        written: of every subspace the states up to this one in which something is written to it; none
            for one that was cleared since.
    """
    features: list[Feature] = []
    constant = base.copy()
    for subspace, stored in numbers.items():
        if not written.get(subspace):
            continue
        flat, directions = stored.reshape(-1, subspace.width), write(subspace)
        if subspace.encoding in CODES and written[subspace] == {0}:
            features += _of_codewords(subspace, directions)
        elif subspace.encoding is Encoding.ONE_HOT and _is_one_hot(flat):
            features += _of_values(subspace, directions)
        else:
            for feature in _of_numbers(subspace, flat, directions):
                features.append(feature)
                constant += directions[:, feature.dimension] * feature.low
    return Dictionary(tuple(features), constant)


CODES = (Encoding.SIGNED_BITS, Encoding.SINUSOIDAL, Encoding.CODED)
"""The encodings of which an embedding always stores a codeword, of several numbers that are not 0."""


def _is_one_hot(flat: Array) -> bool:
    """Whether at most one coordinate is not 0 at a time, and that is 1."""
    return bool(np.isin(flat, (0, 1)).all() and (flat.sum(axis=1) <= 1).all())


def _of_codewords(subspace: Subspace, directions: Array) -> Iterator[Feature]:
    for value in subspace.values:
        word = tuple(map(float, subspace.codeword(value)))
        name = f"{subspace.name} {value}"
        yield Feature(name, subspace, directions @ word, codeword=word, value=value)


def _of_values(subspace: Subspace, directions: Array) -> Iterator[Feature]:
    for i, value in enumerate(subspace.values):
        yield Feature(f"{subspace.name} {value}", subspace, directions[:, i], dimension=i, value=value)


def _of_numbers(subspace: Subspace, flat: Array, directions: Array) -> Iterator[Feature]:
    for i, name in enumerate(subspace.dimension_names):
        is_flag = subspace.encoding is Encoding.FLAG
        low = 0.0 if is_flag else float(flat[:, i].min())
        above = flat[:, i] - low
        unit = float(above[above > 0].mean()) if above.any() and not is_flag else 1.0
        yield Feature(name, subspace, directions[:, i] * unit, dimension=i, low=low, unit=unit)
