"""Text from a model: greedy or sampled, within the context or sliding over it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np

from handcraft.display import shorten_value
from handcraft.errors import ModelError
from handcraft.language import Prompts
from handcraft.limits import ADDED_TOKENS
from handcraft.model.attention import Array, softmax
from handcraft.model.model import Model

ADDED = 10
"""How many tokens are added where nothing says how many."""


def generate(
    model: Model,
    prompt: str | Sequence[str],
    n: int = ADDED,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> str:
    """Continue a prompt by `n` tokens within the model's positions, with a KV cache.

    Args:
        model: the model.
        prompt: text or tokens.
        n: how many tokens to add.
        temperature: 0 for the highest logit every time; otherwise logits are divided by it, and one
            of the vocabulary's tokens is drawn.
        top_k: sample among the k highest logits only; None for all.
        seed: makes sampling repeatable.

    Returns:
        The tokens that were added, as text.

    Raises:
        ModelError: the prompt is empty, prompt and answer together have more tokens than the model
            has positions (the last token needs none), a setting makes no sense, or the model has no
            causal mask.
        VocabularyError: the prompt has an unknown token.
    """
    _check_masked(model)
    ADDED_TOKENS.check(n)
    ids = model.prompt_ids(prompt)
    if len(ids) + n - 1 > model.shape.n_positions:
        raise ModelError(
            f"{len(ids)} tokens and {n} more, but the model has {model.shape.n_positions} positions",
            fix="use complete(), which slides over the context",
        )
    return model.vocabulary.text(_continue(model, ids, n, temperature, top_k, seed))


def complete(
    model: Model,
    prompt: str | Sequence[str],
    n: int | None = None,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    seed: int | None = None,
    prompts: Prompts | None = None,
) -> str:
    """Continue a prompt by `n` tokens; past the context the model sees the last tokens only.

    Takes and returns what `generate` does, for prompts and answers of any length, and besides:

    Args:
        model: the model.
        prompt: text or tokens.
        n: how many tokens to add; if left out 10, or, with `prompts` that say which texts are legal,
            as many as are promised.
        temperature: as for `generate`.
        top_k: as for `generate`.
        seed: as for `generate`.
        prompts: of the program that the model is made from, which an array does not know: another
            prompt than a legal one is refused, and nothing is added to a text that is legal no more.

    Raises:
        ModelError: the prompt is empty, a setting makes no sense, or the model has no causal mask.
        VocabularyError: the prompt has an unknown token.
        PromptError: the prompt is not legal, or goes on with what the model would not have written.
    """
    _check_masked(model)
    ids = model.prompt_ids(prompt)
    known = prompts if prompts is not None and prompts.refuses_some else None
    if known is not None:
        known.check_legal(_tokens(model, ids))
        _check_written(model, ids, known)
    elif n is None:
        n = ADDED
    return model.vocabulary.text(_continue(model, ids, n, temperature, top_k, seed, known))


def _continue(
    model: Model,
    ids: tuple[int, ...],
    n: int | None,
    temperature: float,
    top_k: int | None,
    seed: int | None,
    legal: Prompts | None = None,
) -> list[int]:
    """The ids that follow: so many, and no more than one after the last legal text."""
    _check_settings(n, temperature, top_k, seed)
    random = np.random.default_rng(seed)
    reader = _Reader(model)
    numbers = model.vocabulary.numbers
    text = list(ids)
    for _ in range(n) if n is not None else count():
        if legal is not None and not legal.is_legal(_tokens(model, text)):
            break
        text.append(_choose(reader.logits_after(text), numbers, temperature, top_k, random))
    return text[len(ids) :]


def _check_written(model: Model, ids: Sequence[int], prompts: Prompts) -> None:
    """Raise unless what follows an input is what the model writes itself.

    Raises:
        PromptError: the first token that it would not have written.
    """
    tokens = _tokens(model, ids)
    count = prompts.written(tokens)
    if count:
        logits = model.forward(np.array([ids[:-1]]))[0, -count:][:, model.vocabulary.numbers]
        known = model.vocabulary.tokens
        prompts.check_written(tokens, [known[best] for best in logits.argmax(axis=1).tolist()])


def _tokens(model: Model, ids: Sequence[int]) -> list[str]:
    return [model.vocabulary.token(number) for number in ids]


class _Reader:
    """Runs only what it has not yet seen of a growing text, as long as the text fits the context."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.positions = model.shape.n_positions
        self.cache = model.empty_cache()

    def logits_after(self, text: Sequence[int]) -> Array:
        """The logits that follow the last tokens of `text`: [n_vocab]."""
        if len(text) > self.positions:  # every token now stands one position earlier
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


def _check_masked(model: Model) -> None:
    if not isinstance(model, Model):
        raise ModelError(
            f"{shorten_value(model)} is no model",
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
