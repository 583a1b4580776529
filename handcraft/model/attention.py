"""Scaled dot-product attention, causal or not, and its heads side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating]
Watch: TypeAlias = Callable[[str, Array], None]
"""Called with the name and the value of every intermediate."""


def softmax(scores: Array) -> Array:
    """Softmax along the last axis; -inf becomes exactly 0. Every row must hold something finite."""
    shifted: Array = scores - scores.max(axis=-1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=-1, keepdims=True)
    return shifted


def causal_mask(destinations: int, sources: int) -> npt.NDArray[np.bool_]:
    """Which sources come later than their destination: [destination, source].

    The last destination is the last source; with a cache there are fewer destinations than sources.
    """
    here = np.arange(sources - destinations, sources)[:, None]  # [destination, 1]
    return np.arange(sources)[None, :] > here


def split_heads(x: Array, n_head: int) -> Array:
    """[batch, position, n_embd] -> [batch, head, position, head_dim]."""
    batch, positions, width = x.shape
    return x.reshape(batch, positions, n_head, width // n_head).swapaxes(1, 2)


def merge_heads(x: Array) -> Array:
    """[batch, head, position, head_dim] -> [batch, position, n_embd]."""
    batch, n_head, positions, width = x.shape
    return x.swapaxes(1, 2).reshape(batch, positions, n_head * width)


def attend(
    queries: Array, keys: Array, values: Array, *, scale: float, causal: bool
) -> tuple[Array, Array, Array]:
    """Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1).

    Args:
        queries: [..., destination, head_dim].
        keys: [..., source, head_dim].
        values: [..., source, head_dim].
        scale: what scores are multiplied with.
        causal: whether a destination sees no later source.

    Returns:
        The scores before the mask and the pattern after softmax, both [..., destination, source],
        and the head output [..., destination, head_dim].
    """
    scores = queries @ keys.swapaxes(-1, -2)  # [.., destination, d] @ [.., d, source]
    scores *= scores.dtype.type(scale)
    seen = scores
    if causal and scores.shape[-2:] != (1, 1):
        mask = causal_mask(*scores.shape[-2:])
        seen = np.where(mask, scores.dtype.type(-np.inf), scores)
    pattern = softmax(seen)
    return scores, pattern, pattern @ values  # [.., destination, source] @ [.., source, d]
