"""Whether a model has a causal mask: later tokens must not change earlier answers."""

from __future__ import annotations

import numpy as np

from handcraft.errors import HandcraftError
from handcraft.testing.cache_against_full import CLOSE
from handcraft.testing.models.as_model import Tokens, as_model
from handcraft.testing.models.checked import CheckedModel
from handcraft.testing.profiles import profile

LONGEST = 8
"""The most tokens of a text, where a model reads more or does not say how many."""


def assert_causal(
    model: object,
    *,
    vocabulary: Tokens | None = None,
    longest: int | None = None,
    tolerance: float = CLOSE,
    seed: int = 0,
) -> int:
    """Assert that the answer at a position does not depend on the tokens that follow it.

    `assert_means` compares the answer at the end of each prompt, where a missing mask may change
    nothing. Generation with a cache, and training, need the mask at every position.

    Args:
        model: anything that `as_model` takes and that answers at every position.
        vocabulary: the tokens of the model, if the model does not state them.
        longest: the most tokens of a text.
        tolerance: the largest difference of two logits, as a share of the largest logit.
        seed: the seed of the random texts.

    Returns:
        How many prompts were compared.

    Raises:
        AssertionError: the shortest prompt of those tried whose answer changes, and what follows it.
        AnswerError: the model fails, or answers at the last position alone.
    """
    __tracebackhide__ = True
    try:
        subject = CheckedModel.of(as_model(model, vocabulary=vocabulary))
        most = min(longest or LONGEST, subject.model.positions or LONGEST)
        random = np.random.default_rng(seed)
        count = max(1, profile().sample // most)
        texts = random.integers(0, len(subject.vocabulary), size=(count, most))
        full = subject.logits(texts, everywhere=True)  # [text, position, column]
        for length in range(1, most):
            alone = subject.logits(texts[:, :length])[:, 0]  # [text, column]
            among = full[:, length - 1]
            finite = np.where(np.isfinite(alone), np.abs(alone), 0)
            largest = np.maximum(1, finite.max(axis=1, keepdims=True))
            with np.errstate(invalid="ignore"):  # -inf less -inf
                apart = np.where(alone == among, 0, np.abs(alone - among))
            wrong = ~(apart <= tolerance * largest)
            if wrong.any():
                row, column = np.argwhere(wrong)[0].tolist()
                prompt = subject.text(texts[row, :length].tolist())
                rest = subject.text(texts[row, length:].tolist())
                raise AssertionError(
                    f"after {prompt!r} {subject.model.name} gives {subject.token(column)!r} the logit "
                    f"{alone[row, column]:.6g}, and {among[row, column]:.6g} if {rest!r} follows\n"
                    f"  where:  position {length - 1} of {most}\n"
                    "  fix:    mask later positions before softmax"
                )
    except HandcraftError as error:  # from here: our own frames say nothing to the reader
        raise error.with_traceback(None) from error.__cause__
    return count * max(1, most - 1)
