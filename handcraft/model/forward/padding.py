"""Padding at the end of the shorter texts of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from handcraft.errors import ModelError
from handcraft.model.layers.attention import Flags


def valid_positions(lengths: Sequence[int], positions: int) -> Flags:
    """Which positions are tokens, in texts that are padded at the end.

    >>> valid_positions([3, 1], 3).astype(int)
    array([[1, 1, 1],
           [1, 0, 0]])

    Args:
        lengths: the number of tokens of each text.
        positions: the number of positions that every text is padded to.

    Returns:
        [batch, position], true at tokens.

    Raises:
        ModelError: a text is longer than `positions` or has a negative length.
    """
    counts = np.asarray(lengths, dtype=np.int64)
    if ((counts < 0) | (counts > positions)).any():
        raise ModelError(
            f"texts of {counts.tolist()} tokens, padded to {positions} positions",
            fix=f"use lengths from 0 to {positions}",
        )
    return np.arange(positions) < counts[:, None]


def checked_valid(valid: npt.ArrayLike, ids: npt.NDArray[np.int64]) -> Flags:
    """The flags of right-padded texts: [batch, position].

    Raises:
        ModelError: another shape or type, or a token after padding.
    """
    flags = np.asarray(valid)
    if flags.shape != ids.shape or flags.dtype != bool:
        raise ModelError(
            f"valid of shape {flags.shape} and type {flags.dtype} for tokens of shape {ids.shape}",
            fix="give a boolean for each token, as valid_positions(lengths, positions) does",
        )
    after = np.argwhere(flags[:, 1:] & ~flags[:, :-1])
    if len(after):
        text, position = after[0].tolist()
        raise ModelError(
            f"text {text} has padding at position {position} and a token after it",
            fix="pad after the text: positions are counted from the first token",
        )
    return flags
