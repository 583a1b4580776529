"""A model without the dimensions that are 0 everywhere and that nobody reads, and with each logit once.

A compiled model fills the width of its architecture with such dimensions, and the ids that no token has
with logits that are all the same.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.layers.blocks import Block
from handcraft_check.layers.matrix import Flags, Ids, Matrix
from handcraft_check.layers.model import Model


def narrowed(model: Model, token_ids: Ids, length: int, *, merges: bool) -> Model:
    """A model whose token ids are places in the vocabulary, and whose logits differ in the same way.

    A dimension of the stream is 0 in every text if no embedding of a token or a position has it, and no
    block writes to it, for a sum of zeros is exactly 0. If no matrix reads it either, it only counts in
    LayerNorm, as all others of its kind do: `times` says for how many one of them stands. It has the
    largest gain and bias of all, so that what is finite for it is finite for each. Logits behind equal
    weights are equal.

    Args:
        model: in float32, with weights that are known.
        token_ids: the id of each token of the vocabulary; no other one occurs.
        length: the most positions of a text.
        merges: whether equal logits of ids that no token has may be one.
    """
    ids = np.setdiff1d(np.arange(len(model.wte.center)), token_ids)
    if merges:
        others = model.unembedding.weight[:, ids]
        ids = ids[np.unique(others, axis=1, return_index=True)[1]] if others.any() else ids[:1]
    columns = np.concatenate([token_ids, ids])
    found = copy(model)
    found.wte = model.wte[token_ids]
    found.wpe = model.wpe[:length]
    is_live = found.wte.center.any(axis=0) | found.wpe.center.any(axis=0)
    is_live |= model.unembedding.weight.any(axis=1)
    for block in model.blocks:
        is_live |= _uses(block)
    kept = np.concatenate([np.flatnonzero(is_live), np.flatnonzero(~is_live)[:1]])
    times = np.ones(len(kept))
    times[is_live.sum() :] = (~is_live).sum()

    def norm(weights: tuple[Bounded, Bounded]) -> tuple[Bounded, Bounded]:
        gain, bias = (each.center[kept] for each in weights)
        for each, whole in zip((gain, bias), weights, strict=True):
            each[is_live.sum() :] = np.abs(whole.center[~is_live]).max(initial=0.0)
        none = np.zeros(len(kept))
        return Bounded(gain, none), Bounded(bias, none)

    found.wte, found.wpe = found.wte[:, kept], found.wpe[:, kept]
    found.blocks = [
        replace(
            block,
            ln_1=norm(block.ln_1),
            heads=replace(
                block.heads,
                matching=block.heads.matching.of_rows(kept),
                moving=block.heads.moving.of_rows(kept),
                out=block.heads.out.of_columns(kept),
            ),
            ln_2=norm(block.ln_2),
            c_fc=block.c_fc.of_rows(kept),
            mlp_out=block.mlp_out.of_columns(kept),
        )
        for block in model.blocks
    ]
    found.ln_f, found.times = norm(model.ln_f), times
    found.unembedding = model.unembedding.of_rows(kept).of_columns(columns)
    found.config = replace(model.config, vocab_size=len(columns))
    return found


def _uses(block: Block) -> Flags:
    """Which dimensions of the stream a block reads or writes: [dimension]."""
    readers = (block.heads.matching, block.heads.moving, block.c_fc)
    writers = (block.heads.out, block.mlp_out)
    found = np.logical_or.reduce([matrix.weight.any(axis=1) for matrix in readers])
    return np.asarray(np.logical_or.reduce([found, *map(_written, writers)]))


def _written(matrix: Matrix) -> Array:
    return np.asarray(matrix.terms > 0)
