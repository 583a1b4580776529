"""What an engine is asked to run, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Kind = Literal["next", "every", "batch", "pieces", "generate", "beams", "encode"]
"""The ways to run a model; an engine states which of them it can."""

KINDS: tuple[Kind, ...] = get_args(Kind)

KIND_MEANINGS: dict[Kind, str] = {
    "next": "one prompt; the token with the highest logit after it",
    "every": "one prompt; the token with the highest logit at every position",
    "batch": "several prompts in one batch, padded on the left; the token after each",
    "pieces": "one prompt in several pieces with a cache; the token after each piece",
    "generate": "greedy generation, of a batch if there is more than one prompt",
    "beams": "beam search; the best text",
    "encode": "the ids of a text",
}


@dataclass(frozen=True)
class Request:
    """One run.

    Args:
        kind: how to run it.
        prompts: the ids of each prompt; for ``encode`` none.
        pieces: the lengths of the pieces of ``pieces``, which add up to the prompt.
        new_tokens: how many tokens to generate.
        beams: how many beams.
        text: what to encode.
        end: the id that ends a text; None where none does.
    """

    kind: Kind
    prompts: tuple[tuple[int, ...], ...] = ()
    pieces: tuple[int, ...] = ()
    new_tokens: int = 1
    beams: int = 1
    text: str = ""
    end: int | None = None


Logits = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an engine gave.

    Args:
        tokens: for each prompt the ids that were answered, one for each position or step.
        logits: for each prompt the logits that they were chosen from, [step, n_vocab]; empty where
            the engine gives none.
    """

    tokens: tuple[tuple[int, ...], ...]
    logits: tuple[Logits, ...] = field(default=(), repr=False)


def outcome_of(logits: Sequence[Logits]) -> Outcome:
    """The tokens with the highest logits: [step, n_vocab] for each prompt."""
    chosen = tuple(tuple(int(token) for token in rows.argmax(axis=-1)) for rows in logits)
    return Outcome(chosen, tuple(logits))
