"""Self-attention from inputs and matrices: one head, several heads, batches of padded texts.

`attend` starts from queries, keys and values. Here the projections come first, in the [d_in, d_out]
form of textbooks, so that every step from inputs to outputs can be followed in numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from handcraft.errors import ModelError
from handcraft.model.attention import Array, Flags, attend, merge_heads, split_heads

HeadMatrices: TypeAlias = tuple[Array, Array, Array]
"""W_q, W_k and W_v of one head."""


def self_attend(
    x: Array, w_q: Array, w_k: Array, w_v: Array, *, causal: bool = False, valid: Flags | None = None
) -> tuple[Array, Array, Array]:
    """One head of self-attention, scaled by 1/sqrt(d_k).

    The formula is equation 1 of Attention Is All You Need (2017), section 3.2.1.

    Args:
        x: [..., position, d_in].
        w_q: [d_in, d_k].
        w_k: [d_in, d_k].
        w_v: [d_in, d_v].
        causal: whether a destination sees no later source.
        valid: which positions hold a token and not padding, [..., position]; None where all do.

    Returns:
        The scores before any mask and the pattern after softmax, both [..., destination, source],
        and the context vectors [..., destination, d_v]. A destination that sees nothing, as padding on
        the left does, gets a pattern and a context vector of zeros.

    Raises:
        ModelError: the shapes do not fit.
    """
    _check_matrices(x, w_q, w_k, w_v)
    # [.., position, d_in] @ [d_in, d] -> [.., position, d]
    queries, keys, values = (_floating(x @ matrix) for matrix in (w_q, w_k, w_v))
    scale = 1 / sqrt(w_q.shape[-1])
    if valid is None:
        return attend(queries, keys, values, scale=scale, causal=causal)
    if np.shape(valid) != x.shape[:-1]:
        raise ModelError(
            f"valid has the shape {np.shape(valid)}, and x has {x.shape}",
            fix=f"give a flag for each position: {x.shape[:-1]}",
        )
    flags = np.asarray(valid, dtype=bool)
    return attend(queries, keys, values, scale=scale, causal=causal, valid=flags)


def attend_stacked(x: Array, heads: Sequence[HeadMatrices], *, causal: bool = False) -> Array:
    """Several heads, each with its own matrices, and their outputs side by side.

    The heads are those of Attention Is All You Need (2017), section 3.2.2, without the output
    projection.

    Args:
        x: [..., position, d_in].
        heads: for each head W_q and W_k, [d_in, d_k], and W_v, [d_in, d_v].
        causal: whether a destination sees no later source.

    Returns:
        [..., position, d_v of the first head + d_v of the second + ...].

    Raises:
        ModelError: there is no head, or the shapes do not fit.
    """
    if not heads:
        raise ModelError("no head", fix="give at least one triple of W_q, W_k, W_v")
    return np.concatenate([self_attend(x, *head, causal=causal)[2] for head in heads], axis=-1)


def attend_split(
    x: Array, w_q: Array, w_k: Array, w_v: Array, *, n_head: int, causal: bool = False
) -> Array:
    """Several equally wide heads as one projection each for queries, keys and values, then split.

    The same as `attend_stacked` of the heads whose matrices stand side by side in `w_q`, `w_k` and
    `w_v`, up to rounding. GPT-2 computes it so.

    Args:
        x: [batch, position, d_in].
        w_q: [d_in, n_head * d_k].
        w_k: [d_in, n_head * d_k].
        w_v: [d_in, n_head * d_v].
        n_head: the number of heads.
        causal: whether a destination sees no later source.

    Returns:
        [batch, position, n_head * d_v].

    Raises:
        ModelError: the shapes do not fit, or `n_head` does not divide a width.
    """
    if x.ndim != 3:
        raise ModelError(f"x has the shape {x.shape}", fix="give it as [batch, position, d_in]")
    _check_matrices(x, w_q, w_k, w_v)
    widths = (w_q.shape[-1], w_v.shape[-1])
    if n_head < 1 or any(width % n_head for width in widths):
        raise ModelError(
            f"{n_head} heads in projections {widths[0]} and {widths[1]} wide",
            fix="use a number of heads that divides both",
        )
    # [batch, position, d_in] @ [d_in, n_head * d] -> [batch, head, position, d]
    projected = (_floating(x @ matrix) for matrix in (w_q, w_k, w_v))
    queries, keys, values = (split_heads(part, n_head) for part in projected)
    scale = 1 / sqrt(widths[0] // n_head)
    _, _, out = attend(queries, keys, values, scale=scale, causal=causal)
    return merge_heads(out)  # [batch, head, position, d_v] -> [batch, position, n_head * d_v]


def valid_positions(
    lengths: Sequence[int], positions: int, *, side: Literal["right", "left"] = "right"
) -> Flags:
    """Which positions of padded texts hold a token.

    >>> valid_positions([3, 1], 3, side="left").astype(int)
    array([[1, 1, 1],
           [0, 0, 1]])

    Args:
        lengths: the number of tokens of each text.
        positions: the number of positions that every text is padded to.
        side: where the padding stands.

    Returns:
        [batch, position], true at tokens.

    Raises:
        ModelError: a text that is longer than `positions` or has a negative length, or another side.
    """
    counts = np.asarray(lengths, dtype=np.int64)
    if ((counts < 0) | (counts > positions)).any():
        raise ModelError(
            f"texts of {counts.tolist()} tokens, padded to {positions} positions",
            fix=f"use lengths from 0 to {positions}",
        )
    if side not in ("right", "left"):
        raise ModelError(f"padding on the side {side!r}", fix="use right or left")
    from_the_text = np.arange(positions) if side == "right" else np.arange(positions)[::-1]
    return from_the_text < counts[:, None]


def position_ids(valid: Flags) -> npt.NDArray[np.int64]:
    """The position of each token in its own text, whatever padding stands before it.

    >>> position_ids(valid_positions([3, 1], 3, side="left"))
    array([[0, 1, 2],
           [0, 0, 0]])

    Args:
        valid: [batch, position], true at tokens.

    Returns:
        [batch, position]; padding before the text counts as position 0, padding behind it as the
        position of the last token.
    """
    counted = np.cumsum(valid, axis=-1, dtype=np.int64)
    return np.maximum(counted - 1, 0)


def _floating(x: Array) -> Array:
    """`x`, as floats where it holds integers: a scale of 1/sqrt(2) would be 0 among them."""
    return x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float64)


def _check_matrices(x: Array, w_q: Array, w_k: Array, w_v: Array) -> None:
    matrices = (w_q, w_k, w_v)
    shapes = ", ".join(str(matrix.shape) for matrix in matrices)
    if any(matrix.ndim != 2 or matrix.shape[0] != x.shape[-1] for matrix in matrices):
        raise ModelError(
            f"x has the shape {x.shape}, and W_q, W_k, W_v have {shapes}",
            fix=f"every matrix is stored [d_in, d_out], and d_in is {x.shape[-1]} here; transpose "
            "one that is stored [out, in], as in nn.Linear",
        )
    if w_q.shape[1] != w_k.shape[1]:
        raise ModelError(
            f"queries are {w_q.shape[1]} wide and keys {w_k.shape[1]}",
            fix="give W_q and W_k the same d_k: a score is the product of a query and a key",
        )
