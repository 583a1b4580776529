"""Scaled dot-product attention, causal or not, and its heads side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from handcraft.errors import ModelError
from handcraft.model.layers.product import product

Array: TypeAlias = npt.NDArray[np.floating]
Flags: TypeAlias = npt.NDArray[np.bool_]
Watch: TypeAlias = Callable[[str, Array], None]
"""Called with the name and the value of every intermediate."""
AfterStep: TypeAlias = Callable[[Array], Array]
"""Maps the result of one step to the input of the next, for example rounded."""


def as_it_is(value: Array) -> Array:
    """All that a step computed."""
    return value


def softmax(scores: Array) -> Array:
    """Softmax along the last axis; -inf becomes exactly 0. Every row must have a finite number."""
    shifted: Array = scores - scores.max(axis=-1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=-1, keepdims=True)
    return shifted


def causal_mask(destinations: int, sources: int, window: int | None = None) -> Flags:
    """Which sources a destination does not see: [destination, source].

    They come later, or with a `window` so many positions earlier, or more. The last destination is the
    last source; with a cache there are fewer destinations than sources.
    """
    here = np.arange(sources - destinations, sources)[:, None]  # [destination, 1]
    there = np.arange(sources)[None, :]
    later: Flags = there > here
    return later if window is None else later | (there <= here - window)


def masked_softmax(scores: Array, hidden: Flags) -> Array:
    """Softmax over the sources that a destination may see; what is hidden gets exactly 0.

    A row of which everything is hidden is a row of zeros: softmax has no answer there.

    Args:
        scores: [..., destination, source].
        hidden: true where a source must not be seen; any shape that broadcasts to that of `scores`.

    Returns:
        The pattern, [..., destination, source].

    Raises:
        ModelError: the shapes do not fit.
    """
    try:
        covered = np.broadcast_to(hidden, scores.shape)
    except ValueError:
        raise ModelError(
            f"a mask of shape {np.shape(hidden)} over scores of shape {scores.shape}",
            fix="give the mask as [destination, source], or with the axes of the scores before",
        ) from None
    seen = scores.astype(np.result_type(scores.dtype, np.float16))  # a copy; integers become floats
    seen[covered] = -np.inf
    seen[covered.all(axis=-1)] = 0.0  # so that softmax has an answer, which is then thrown away
    pattern = softmax(seen)
    pattern[covered] = 0.0
    return pattern


def split_heads(x: Array, n_head: int) -> Array:
    """[batch, position, n_embd] -> [batch, head, position, head_dim]."""
    batch, positions, width = x.shape
    return x.reshape(batch, positions, n_head, width // n_head).swapaxes(1, 2)


def merge_heads(x: Array) -> Array:
    """[batch, head, position, head_dim] -> [batch, position, n_embd]."""
    batch, n_head, positions, width = x.shape
    return x.swapaxes(1, 2).reshape(batch, positions, n_head * width)


def attend(
    queries: Array,
    keys: Array,
    values: Array,
    *,
    scale: float,
    causal: bool,
    window: int | None = None,
    valid: Flags | None = None,
    after_step: AfterStep = as_it_is,
) -> tuple[Array, Array, Array]:
    """Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1).

    Args:
        queries: [..., destination, head_dim].
        keys: [..., source, head_dim].
        values: [..., source, head_dim].
        scale: the factor of the scores.
        causal: whether a destination sees no later source.
        window: how many sources a destination sees, itself among them, if it is causal; None for all.
        valid: which sources are tokens and not padding, [..., source]; None if all are.
        after_step: applied to the result of each step, for example to round it.

    Returns:
        The scores before any mask and the pattern after softmax, both [..., destination, source],
        and the head output [..., destination, head_dim]. A destination without visible sources has a
        pattern and an output of zeros.
    """
    scores = after_step(
        product(queries, keys.swapaxes(-1, -2))
    )  # [.., destination, d] @ [.., d, source]
    scores *= scores.dtype.type(scale)
    scores = after_step(scores)
    if valid is not None:
        hidden = ~valid[..., None, :]  # [.., 1, source]
        if causal:
            mask = causal_mask(scores.shape[-2], scores.shape[-1], window)
            hidden = hidden | mask  # [.., destination, source]
        pattern = masked_softmax(scores, hidden)
    elif causal and scores.shape[-2:] != (1, 1):  # otherwise every destination sees itself
        mask = causal_mask(scores.shape[-2], scores.shape[-1], window)
        pattern = softmax(np.where(mask, scores.dtype.type(-np.inf), scores))
    else:
        pattern = softmax(scores)
    pattern = after_step(pattern)
    out = after_step(product(pattern, values))  # [.., destination, source] @ [.., source, d]
    return scores, pattern, out


ROWS = 64
"""How many destinations `attend_causally` takes at a time: about half of the scores are never made."""

SCORES = 1 << 18
"""About how many scores are made at a time, at least those of one text: they stay in CPU caches."""


def attend_causally(
    queries: Array,
    keys: Array,
    values: Array,
    *,
    scale: float,
    window: int | None = None,
    after_step: AfterStep = as_it_is,
) -> Array:
    """The head output of `attend` with a causal mask, and nothing else of it.

    It is computed for some destinations at a time, with only their visible sources, for runs whose
    scores and patterns are not needed.

    Args:
        queries: [batch, head, destination, d_score].
        keys: [batch, head, source, d_score]; the last destination is the last source.
        values: [batch, head, source, d_value].
        scale: the factor of the scores.
        window: how many sources a destination sees, itself among them; None for all earlier ones.
        after_step: as for `attend`.

    Returns:
        [batch, head, destination, d_value].
    """
    batch, heads, count, _ = queries.shape
    before = keys.shape[2] - count  # sources before the first destination
    out = np.empty((batch, heads, count, values.shape[3]), dtype=queries.dtype)
    texts = max(1, SCORES // (heads * min(count, ROWS) * keys.shape[2]))
    for some in (slice(row, row + texts) for row in range(0, batch, texts)):
        for start in range(0, count, ROWS):
            end = min(start + ROWS, count)
            first = 0 if window is None else max(0, before + start - window + 1)
            seen = slice(first, before + end)
            scores = after_step(
                product(queries[some, :, start:end], keys[some, :, seen].swapaxes(-1, -2))
            )
            scores *= scores.dtype.type(scale)  # [text, head, destination, source]
            scores = after_step(scores)
            if window is None:
                later = causal_mask(end - start, end - start)
                np.copyto(scores[..., before + start :], -np.inf, where=later)
            else:
                np.copyto(
                    scores, -np.inf, where=causal_mask(scores.shape[-2], scores.shape[-1], window)
                )
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            out[some, :, start:end] = product(after_step(scores), values[some, :, seen])
    return after_step(out)
