"""Greedy generation for engines that give only the logits of a whole text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handcraft.conformance.cases.request import Logits, Outcome, Request


def step_by_step(request: Request, logits_after: Callable[[tuple[int, ...]], Logits]) -> Outcome:
    """Every prompt by itself: the token with the highest logit is appended, and the text is run again.

    Args:
        request: of the kind ``next`` or ``generate``.
        logits_after: the logits after a text, [n_vocab].
    """
    rows: list[tuple[int, ...]] = []
    logits: list[Logits] = []
    for prompt in request.prompts:
        text = prompt
        steps: list[Logits] = []
        while len(steps) < request.new_tokens:
            steps.append(logits_after(text))
            text = (*text, int(steps[-1].argmax()))
            if text[-1] == request.end:
                break
        rows.append(text[len(prompt) :])
        logits.append(np.stack(steps))
    return Outcome(tuple(rows), tuple(logits))
