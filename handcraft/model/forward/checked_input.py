"""Check the input of a model, token ids and a cache, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handcraft.display import shorten_value
from handcraft.errors import ModelError
from handcraft.model.forward.cache import Cache
from handcraft.model.layers.attention import Flags

if TYPE_CHECKING:
    from handcraft.model.model import Model


def checked_ids(
    model: Model, tokens: npt.ArrayLike | Sequence[str], before: int
) -> npt.NDArray[np.int64]:
    """The ids of tokens that a model can run.

    `tokens` is a text, several texts of one length, or ids as [batch, position].
    """
    if isinstance(tokens, str):
        tokens = [model.prompt_ids(tokens)]
    elif isinstance(tokens, list | tuple) and tokens and all(isinstance(t, str) for t in tokens):
        tokens = [model.prompt_ids(text) for text in tokens]
    try:
        ids = np.asarray(tokens)
    except ValueError:
        raise ModelError(
            "the texts are of different lengths", fix="run texts of one length at a time"
        ) from None
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer) or not ids.size:
        raise ModelError(
            f"tokens of shape {ids.shape} and type {ids.dtype}",
            fix="give a text, a list of texts, or ids as [batch, position], at least one of each",
        )
    if before + ids.shape[1] > model.context:
        raise ModelError(
            f"{before + ids.shape[1]} tokens, but the model has {model.context} positions",
            fix="use complete(), which keeps only the last tokens, or a shorter prompt"
            if model.architecture.causal
            else "use a shorter text",
        )
    if ids.min() < 0 or ids.max() >= model.shape.n_vocab:
        wrong = int(ids.min() if ids.min() < 0 else ids.max())
        raise ModelError(
            f"the token id {wrong} is not in a vocabulary of {model.shape.n_vocab}",
            fix=f"use ids from 0 to {model.shape.n_vocab - 1}",
        )
    return ids.astype(np.int64, copy=False)


def checked_prompt(model: Model, prompt: str | Sequence[str], *, to: str) -> tuple[int, ...]:
    """The ids of one prompt that a model can run.

    Args:
        model: the model.
        prompt: text or tokens.
        to: what is done with the prompt, for the error.

    Raises:
        ModelError: the prompt is empty or too long.
        VocabularyError: the prompt has an unknown token.
    """
    ids = model.prompt_ids(prompt)
    most, vocabulary = model.context, model.vocabulary
    if len(ids) > most:
        tokens = tuple(map(vocabulary.token, ids))
        raise ModelError(
            f"a prompt of {len(ids)} tokens, but the model sees {most}",
            where=f"the prompt {shorten_value(vocabulary.join(tokens))}",
            fix=f"{to} what the model sees of it, the last {most}: "
            f"{shorten_value(vocabulary.join(tokens[-most:]))}",
        )
    return ids


def check_cache(model: Model, cache: Cache, ids: npt.NDArray[np.int64], valid: Flags | None) -> None:
    """Raise unless tokens can follow those in a cache."""
    model.check_masked(
        "a cache of earlier positions", fix="run whole texts, without a cache: forward(tokens)"
    )
    if valid is not None:
        raise ModelError(
            "padding cannot be combined with a cache: later tokens would come after the padding",
            fix="run padded texts whole, without a cache",
        )
    layers, batch, heads, _, head_dim = cache.keys.shape
    shape, positions = model.shape, cache.room
    fits = (layers, heads, head_dim) == (shape.n_layer, shape.kv_heads, shape.head_dim)
    if not fits or batch != len(ids) or cache.length + ids.shape[1] > positions:
        raise ModelError(
            f"{len(ids)} texts of {ids.shape[1]} tokens more, but the cache has {cache.length} "
            f"of {positions} positions of {batch} texts, for {layers} blocks of {heads} heads",
            fix="use empty_cache(batch), and one cache for one model",
        )
