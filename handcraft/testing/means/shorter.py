"""Shrink a prompt: the shortest one that still fails, and of those the first in vocabulary order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from handcraft.testing.models.answering import Flags, Ids

Fails = Callable[[Ids], Flags]
"""Which texts of one length fail: [text, position] -> [text]."""

ROUNDS = 1_000
"""After so many steps the prompt is taken as it is; each makes it shorter, or earlier in order."""


def shrunk(prompt: tuple[int, ...], fails: Fails, allowed: Fails) -> tuple[int, ...]:
    """A prompt that fails as this one does, from which nothing can be left out.

    Parts are left out, the longest first; then each token is replaced by earlier ones. What is left
    fails, is allowed, and no single such step leads to another that does.

    Args:
        prompt: places in the vocabulary, of a prompt that fails.
        fails: which prompts fail.
        allowed: which texts are allowed as prompts.
    """
    for _ in range(ROUNDS):
        for texts in _smaller(prompt):
            candidates = texts[allowed(texts)]
            failing = fails(candidates) if len(candidates) else np.zeros(0, dtype=bool)
            if failing.any():
                prompt = tuple(candidates[int(failing.argmax())].tolist())
                break
        else:
            return prompt
    return prompt


def _smaller(prompt: tuple[int, ...]) -> Iterator[Ids]:
    """Smaller prompts, one step from this one, the smallest first: [text, position] for each length."""
    text, size = np.array(prompt, dtype=np.int64), len(prompt)
    cut = size - 1
    while cut >= 1:  # of half the length, a quarter, ... one token; at the start first
        starts = range(0, size - cut + 1, max(1, cut // 2))
        yield np.unique(np.stack([np.delete(text, slice(i, i + cut)) for i in starts]), axis=0)
        cut = cut // 2 if cut > 1 else 0
    for place in range(size):
        if text[place]:
            earlier = np.tile(text, (int(text[place]), 1))
            earlier[:, place] = np.arange(text[place])
            yield earlier
    for place in range(size - 1):  # two tokens in the wrong order
        if text[place] > text[place + 1]:
            swapped = text.copy()
            swapped[[place, place + 1]] = text[[place + 1, place]]
            yield swapped[None]
