"""Tokens from a model: greedy or sampled, within the context or sliding over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np

from handcraft.display import shorten_value
from handcraft.errors import ModelError
from handcraft.limits import ADDED_TOKENS
from handcraft.model.layers.attention import Array, softmax
from handcraft.model.model import Model

ADDED = 10
"""How many tokens are added where nothing says how many."""


def continue_ids(
    model: Model,
    ids: Sequence[int],
    n: int | None,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    seed: int | None = None,
    goes_on: Callable[[Sequence[int]], bool] | None = None,
) -> list[int]:
    """The ids that follow `ids`; past the context the model sees only the last tokens.

    Without `n`, tokens are added as long as `goes_on` allows, which is called with every text so far.
    The other settings are those of `complete`.

    Raises:
        ModelError: a setting is invalid, or the model has no causal mask.
    """
    check_masked(model)
    _check_settings(n, temperature, top_k, seed)
    random = np.random.default_rng(seed)
    reader = _Reader(model)
    numbers = model.vocabulary.numbers
    text = list(ids)
    for _ in range(n) if n is not None else count():
        if goes_on is not None and not goes_on(text):
            break
        text.append(_choose(reader.logits_after(text), numbers, temperature, top_k, random))
    return text[len(ids) :]


class _Reader:
    """Runs only the new tokens of a growing text, as long as the text fits the context."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.positions = model.context
        self.cache = model.empty_cache()

    def logits_after(self, text: Sequence[int]) -> Array:
        """The logits that follow the last tokens of `text`: [n_vocab]."""
        if len(text) > self.positions:  # every token is now one position earlier
            logits = self.model.forward([text[-self.positions :]])
        else:
            logits = self.model.forward([text[self.cache.length :]], self.cache)
        last: Array = logits[0, -1]
        return last


def _choose(
    logits: Array,
    numbers: Sequence[int],
    temperature: float,
    top_k: int | None,
    random: np.random.Generator,
) -> int:
    """The best of all ids, or one of the ids `numbers` drawn; of equal ones the first is higher."""
    if temperature == 0:
        return int(logits.argmax())
    known = logits[list(numbers)].astype(np.float64)
    with np.errstate(over="ignore"):
        scaled = (known - known.max()) / temperature
    if top_k is not None and top_k < len(scaled):
        scaled[np.argsort(-scaled, kind="stable")[top_k:]] = -np.inf
    return numbers[int(random.choice(len(scaled), p=softmax(scaled)))]


def check_masked(model: Model) -> None:
    """Raise unless `model` is a model with a causal mask, without which no text can be continued."""
    if not isinstance(model, Model):
        raise ModelError(
            f"{shorten_value(model)} is not a model",
            fix="compile it: compile_program(program).complete(prompt); or load(folder) a model",
        )
    model.check_masked(
        "to continue a text", fix="read the answer at every position: model.forward(tokens)"
    )


def _check_settings(n: int | None, temperature: float, top_k: int | None, seed: int | None) -> None:
    if n is not None and (not isinstance(n, int) or isinstance(n, bool)):
        raise ModelError(f"{n!r} tokens to add, of type {type(n).__name__}", fix="use a whole number")
    ADDED_TOKENS.check(n or 0)
    if n is not None and n < 0:
        raise ModelError(f"{n} tokens to add", fix="use 0 or more")
    if not temperature >= 0 or temperature == float("inf"):
        raise ModelError(f"a temperature of {temperature}", fix="use 0 for greedy, or a positive one")
    if top_k is not None and top_k < 1:
        raise ModelError(f"the {top_k} highest logits", fix="use top_k=1 or more")
    if seed is not None and seed < 0:
        raise ModelError(f"a seed of {seed}", fix="use 0 or more")
