"""Continue a prompt, to any length, or as far as the prompt grammar goes where that is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handcraft.language import Prompts
from handcraft.model import ADDED, Model, check_masked, continue_ids


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
    """Continue a prompt by `n` tokens; past the context the model sees only the last tokens.

    Args:
        model: the model.
        prompt: text or tokens.
        n: how many tokens to add. If left out: 10, or, with `prompts` that say which texts are allowed,
            as many as these promise.
        temperature: 0 for the highest logit every time; otherwise logits are divided by it, and one
            of the vocabulary's tokens is drawn.
        top_k: sample among the k highest logits only; None for all.
        seed: makes sampling repeatable.
        prompts: those of the program that the model was compiled from, which the model itself does
            not contain. A prompt that is not allowed is an error, and no token is added to a text that
            is no longer allowed.

    Returns:
        The tokens that were added, as text.

    Raises:
        ModelError: the prompt is empty, a setting makes no sense, or the model has no causal mask.
        VocabularyError: the prompt has an unknown token.
        PromptError: the prompt is not allowed, or begins an answer that the model would not write.
    """
    check_masked(model)
    ids = model.prompt_ids(prompt)
    if prompts is None or not prompts.refuses_some:
        n = ADDED if n is None else n
        added = continue_ids(model, ids, n, temperature=temperature, top_k=top_k, seed=seed)
        return model.vocabulary.text(added)

    def is_allowed(text: Sequence[int]) -> bool:
        return prompts.allows(_tokens(model, text))

    prompts.check_allowed(_tokens(model, ids))
    _check_written(model, ids, prompts)
    return model.vocabulary.text(
        continue_ids(model, ids, n, temperature=temperature, top_k=top_k, seed=seed, goes_on=is_allowed)
    )


def _check_written(model: Model, ids: Sequence[int], prompts: Prompts) -> None:
    """Raise unless the part of the prompt after the input is what the model itself writes.

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
