"""The features of a residual stream: directions whose activations add up to it, beside a constant.

A value that is stored as one of several codewords has a feature for each value, which is active where
the value is this one: that is what a sparse autoencoder should find. A number has one feature for each
dimension, whose activation grows with the number: its values lie on a line, and no further direction
tells one of them. Some numbers are always the same; they are part of the constant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
        name: what it says.
        of: the subspace that it is a part of.
        reads: factors of the coordinates of that subspace.
        codeword: where it stands for one value, the coordinates of this value; they are all equal to
            these where it is active.
        value: that value.
        low: what is subtracted from a number, so that no activation is below 0 in the sample.
        unit: by what a number is divided, so that it is 1 on average where it is active.
        vector: the direction, [n_embd], of an activation of 1.
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
        constant: what the stream is where no feature is active: [n_embd].
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
            if feature.codeword is not None:
                found.setdefault(feature.of, []).append(number)
        return {subspace: numbers for subspace, numbers in found.items() if len(numbers) > 1}


def dictionary(numbers: Mapping[Subspace, Array], write: Write, base: Array) -> Dictionary:
    """The features of a state.

    Args:
        numbers: what every subspace stores on a sample of texts: [text, position, width].
        write: the directions of its coordinates.
        base: what the stream is where all subspaces store 0: [n_embd].
    """
    features: list[Feature] = []
    constant = base.copy()
    for subspace, stored in numbers.items():
        directions, flat = write(subspace), stored.reshape(-1, subspace.width)
        if (flat == flat[0]).all():
            constant += directions @ flat[0]
        elif (words := _codewords(subspace, flat)) is not None:
            features += _of_values(subspace, words, directions)
        else:
            for feature in _of_numbers(subspace, flat, directions):
                features.append(feature)
                constant += directions[:, feature.dimension] * feature.low
            steady = [i for i in range(subspace.width) if (flat[:, i] == flat[0, i]).all()]
            for i in steady:
                constant += directions[:, i] * flat[0, i]
    return Dictionary(tuple(features), constant)


def _codewords(subspace: Subspace, flat: Array) -> Sequence[tuple[float, ...]] | None:
    """The codeword of every value, if the subspace always stores one; a one-hot one may store none."""
    if not subspace.values or subspace.is_number or subspace.encoding is Encoding.FLAG:
        return None
    words = [tuple(map(float, subspace.codeword(value))) for value in subspace.values]
    known = {*words}
    if subspace.encoding is Encoding.ONE_HOT:
        known.add((0.0,) * subspace.width)
    stored = {tuple(row) for row in np.unique(flat, axis=0).tolist()}
    return words if stored <= known else None


def _of_values(
    subspace: Subspace, words: Sequence[tuple[float, ...]], directions: Array
) -> Iterator[Feature]:
    for value, word in zip(subspace.values, words, strict=True):
        name = f"{subspace.name} {value}"
        yield Feature(name, subspace, directions @ word, codeword=word, value=value)


def _of_numbers(subspace: Subspace, flat: Array, directions: Array) -> Iterator[Feature]:
    names = subspace.dimension_names
    for i in range(subspace.width):
        low = float(flat[:, i].min())
        above = flat[:, i] - low
        if above.any():
            unit = 1.0 if subspace.encoding is Encoding.FLAG else float(above[above > 0].mean())
            vector = directions[:, i] * unit
            yield Feature(names[i], subspace, vector, dimension=i, low=low, unit=unit)
