"""Interchange interventions in NumPy: a value of one run put into the residual stream of another.

The coordinates of a value are read from both runs, and the difference is written to the run that is
changed.
"""

from __future__ import annotations

import numpy as np

from handcraft.ground_truth.causal.mechanisms import Flags
from handcraft.ground_truth.stream.featurizer import HALVES, Featurizer, Stream
from handcraft.model import Model


def logits_after_exchange(
    model: Model,
    done: int,
    base: Stream,
    source: Stream,
    where: Flags,
    featurizer: Featurizer,
    *,
    is_orthogonal: bool = False,
) -> Stream:
    """The logits of runs into which values of other runs are put.

    Args:
        model: the model.
        done: the state of the stream, counted as `Model.resume` does.
        base: the streams that are changed, [text, position, n_embd].
        source: those that the values are from.
        where: at which positions of which texts: [text, position].
        featurizer: of the values.
        is_orthogonal: whether an orthogonal projection is exchanged.

    Returns:
        [text, position, token of the vocabulary].
    """
    stream = base.copy()
    exchange = featurizer.projected if is_orthogonal else featurizer.exchanged
    stream[where] = exchange(base[where], source[where])
    if model.begin_id is not None:
        stream = np.concatenate([_begin(model, done, len(stream)), stream], axis=1)
    return model.resume(stream, done)[..., list(model.vocabulary.numbers)]


def _begin(model: Model, done: int, texts: int) -> Stream:
    """The stream of the begin token, which sees no token of any text: [text, 1, n_embd]."""
    name = "embedding" if done == 0 else f"h.{(done - 1) // 2}.{HALVES[(done - 1) % 2]}"
    first = model.trace(model.vocabulary.tokens[:1])[name][:1]  # [1, n_embd]
    return np.repeat(first[None], texts, axis=0)
