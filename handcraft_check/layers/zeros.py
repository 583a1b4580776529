"""Weights that are exactly 0: what they make of anything finite is 0, and need not be computed.

A dimension of a head that no weight writes to is 0 at every position, and a sum of products to which it
adds 0 is not rounded for it. A hidden unit that reads nothing is GELU of 0, which is 0. The compiler
pads all heads to one width and all MLPs to four times that of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.regime import Array
from handcraft_check.layers.matrix import Ids, Matrix

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Heads:
    """The attention of one block without heads and dimensions that are 0 everywhere.

    All heads have as many dimensions as the widest; the last ones of narrower heads are 0.

    Args:
        count: how many heads are left.
        matched: how many dimensions queries and keys of each have.
        moved: how many its values have.
        matching: queries and keys: [n_embd, 2 * head * matched].
        moving: values: [n_embd, head * moved].
        out: [head * moved, n_embd].
        terms: how many dimensions of each head have queries and keys that are not 0: [head].
        write_sizes: the largest weight by which each dimension of a value is written: [head, moved].
        numbers: which heads of the file are left: [head].
    """

    count: int
    matched: int
    moved: int
    matching: Matrix
    moving: Matrix
    out: Matrix
    terms: Array
    write_sizes: Array
    numbers: Ids

    @classmethod
    def of(cls, c_attn: Matrix, c_proj: Matrix, heads: int) -> Heads:
        """What is left of a block's attention.

        A dimension of a query stays if its key may differ from 0, for the key may be infinite, and
        infinity times 0 is not 0.

        Args:
            c_attn: [n_embd, 3 * n_embd].
            c_proj: [n_embd, n_embd].
            heads: how many heads there are.
        """
        width = len(c_proj.weight)
        is_used = reads(c_attn).reshape(3, heads, width // heads)
        is_matched, is_moved = is_used[0] | is_used[1], is_used[2]
        left = np.flatnonzero((is_matched | is_moved).any(axis=1))
        firsts = left[:, None] * (width // heads)
        matched, moved = places_of(is_matched[left], firsts), places_of(is_moved[left], firsts)
        keys, values = (np.where(at < 0, -1, at + n * width) for n, at in ((1, matched), (2, moved)))
        out = c_proj.of_rows(moved.ravel())
        return cls(
            len(left),
            matched.shape[1],
            moved.shape[1],
            c_attn.of_columns(np.concatenate([matched.ravel(), keys.ravel()])),
            c_attn.of_columns(values.ravel()),
            out,
            (is_used[0] & is_used[1])[left].sum(axis=1).astype(np.float64),
            out.magnitude.max(axis=1, initial=0.0).reshape(moved.shape),
            left,
        )


def units_in_use(*read: Matrix) -> Ids:
    """The hidden units of an MLP that read something, in one of the matrices that they read with.

    One unit stays in any case, so that what is not a number does not become one.
    """
    is_used = np.logical_or.reduce([reads(each) for each in read])
    is_used[0] |= not is_used.any()
    return np.flatnonzero(is_used)


def reads(matrix: Matrix) -> Flags:
    """Which columns may differ from 0: [out]."""
    return np.asarray((matrix.weight != 0).any(axis=0) | (matrix.bias != 0))


def places_of(flags: Flags, firsts: Ids) -> Ids:
    """The columns that are set, and -1 behind them: [head, dimension] -> [head, most of any head]."""
    most = int(flags.sum(axis=1).max(initial=0))
    order = np.argsort(~flags, axis=1, kind="stable")[:, :most]
    return np.where(np.take_along_axis(flags, order, axis=1), firsts + order, -1)
