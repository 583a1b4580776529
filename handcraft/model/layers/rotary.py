"""Rotary position embedding: queries and keys turned by angles that grow with the position."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handcraft.model.layers.attention import AfterStep, Array, as_it_is


def frequencies(head_dim: int, theta: float, dtype: np.dtype[np.floating]) -> Array:
    """The angle by which one position turns each pair, in radians: theta ** (-2 j / head_dim).

    It is computed in `dtype` step by step as transformers does in float32.

    Returns:
        [head_dim / 2].
    """
    exponents = np.arange(0, head_dim, 2).astype(dtype) / np.asarray(head_dim, dtype=dtype)
    found: Array = 1 / np.asarray(theta, dtype=dtype) ** exponents
    return found


def rotation_table(
    places: npt.NDArray[np.integer], head_dim: int, theta: float, dtype: np.dtype[np.floating]
) -> tuple[Array, Array]:
    """The cosine and the sine of the angle of every channel (Su et al. 2021, section 3.4.2).

    Channel j is paired with channel j + head_dim / 2, as in Hugging Face's checkpoints; both have the
    same angle.

    Args:
        places: the positions.
        head_dim: the width of a head.
        theta: the base of the frequencies.
        dtype: float32 or wider.

    Returns:
        Cosines and sines, [position, head_dim] each.
    """
    angles = places.astype(dtype)[:, None] * frequencies(head_dim, theta, dtype)
    both = np.concatenate([angles, angles], axis=-1)
    return np.cos(both), np.sin(both)


def rotate(x: Array, cosines: Array, sines: Array, *, after_step: AfterStep = as_it_is) -> Array:
    """Turn every pair (j, j + head_dim / 2) by its angle.

    Args:
        x: queries or keys, [..., position, head_dim].
        cosines: [position, head_dim].
        sines: [position, head_dim].
        after_step: applied to the result of each step.

    Returns:
        [..., position, head_dim].
    """
    half = x.shape[-1] // 2
    turned = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
    return after_step(after_step(x * cosines) + after_step(turned * sines))
