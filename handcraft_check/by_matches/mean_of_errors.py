"""The error of a stream's mean, if what heads and hidden units write does not change the mean."""

from __future__ import annotations

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import TINY, UNIT, Bounded, product_error
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.sums import Sums
from handcraft_check.by_windows.window_model import WindowModel


def mean_of_errors(model: WindowModel, x: Sums, after: Array) -> Array:
    """How far the mean of the computed stream may be from that of the sum: [row]; infinite for unknown.

    Let each row of the matrices by which heads and hidden units write add up to 0. Then whatever they
    read, and whatever that is off by, what they write adds up to 0. What is left is what rounding makes
    of the sums: of the embedding, of what heads write, of what units write, and of both additions.

    Args:
        model: of one kind of position.
        x: its stream behind the heads of the first block.
        after: the largest absolute values behind the units of that block: [dimension].
    """
    block, found = model.model.blocks[0], model.found
    heads, rows = block.heads, len(x.known)
    if heads.out.weight.sum(axis=1).any() or block.mlp_out.weight.sum(axis=1).any():
        return np.full(rows, np.inf)
    tokens, length = len(found.tokens), len(found.places)
    parts = [
        Part(found.tokens, [np.arange(tokens)], np.array([tokens])),
        Part(found.places, [np.arange(length)], np.array([length])),
    ]
    none = np.zeros((1, len(found.embedded)))
    embedded = Sums(parts, Stream.of(Bounded(none, found.embedded[None])))
    off = found.embedded + UNIT * after + TINY
    off = off + UNIT * x.size + TINY
    values = model.model.normed_sums(embedded, block.ln_1).magnitude @ heads.moving.magnitude
    values = (values + heads.moving.bias_magnitude) * (1 + 2.0**-10)
    off += product_error(values @ heads.out.magnitude + heads.out.bias_magnitude, heads.out.terms)
    hidden = model.model.normed_sums(x, block.ln_2).magnitude @ block.c_fc.magnitude
    hidden = (hidden + block.c_fc.bias_magnitude) * (1 + 2.0**-10)
    total = hidden @ block.mlp_out.magnitude + block.mlp_out.bias_magnitude
    off += product_error(total, block.mlp_out.terms)
    times = np.ones_like(none[0]) if model.model.times is None else model.model.times
    return np.asarray(np.nan_to_num(off @ times / times.sum(), nan=np.inf))
