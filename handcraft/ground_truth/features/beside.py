"""What a disguise writes beside the features of its original: a number in the mean of the stream.

Distractors write the same number into every dimension, which LayerNorm subtracts. So no reader sees
it, but it is in the stream, and a sparse autoencoder that is trained on the stream finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from handcraft.circuits import Subspace, scalar
from handcraft.ground_truth.features.feature import Array, Dictionary, Feature
from handcraft.ground_truth.stream.featurizer import Stream

BESIDE: Subspace = scalar("mean of the stream, from distractors")
"""Stands for what is written beside the features."""

LEAST = 1e-4
"""A mean that differs less between prompts, relative to the stream, is rounding or noise."""


def numbers_beside(
    found: Dictionary, activations: Sequence[Array], streams: Sequence[Stream]
) -> list[Array]:
    """The mean of what features do not add up to, for each length of text: [text, position, 1].

    Args:
        found: the features.
        activations: how active they are: [text, position, feature].
        streams: the residual streams: [text, position, n_embd].
    """
    pairs = zip(activations, streams, strict=True)
    return [(each - found.stream(active)).mean(axis=-1, keepdims=True) for active, each in pairs]


def with_beside(found: Dictionary, numbers: Sequence[Array], streams: Sequence[Stream]) -> Dictionary:
    """The features with one for the mean, if that differs between prompts."""
    flat = np.concatenate([each.reshape(-1) for each in numbers])
    largest = max(float(np.abs(each).max()) for each in streams)
    low, above = float(flat.min()), flat - flat.min()
    if above.max() <= LEAST * largest:
        return found
    unit = float(above[above > 0].mean())
    ones = np.ones(len(found.constant))
    feature = Feature(BESIDE.name, BESIDE, ones * unit, low=low, unit=unit)
    return replace(found, features=(*found.features, feature), constant=found.constant + ones * low)
