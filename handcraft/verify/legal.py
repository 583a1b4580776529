"""The legal prompts of a program: those of some contexts, and random ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress

import numpy as np
import numpy.typing as npt

from handcraft.errors import CommandError
from handcraft.language import Prompts
from handcraft.model import Model
from handcraft.verify.contexts import Batch, Ids, batch_of

Flags = npt.NDArray[np.bool_]

DRAWN = 2_000
"""How many legal prompts are drawn where legal ones are too rare among random ones."""


def is_restricted(prompts: Prompts | None) -> bool:
    """Whether some texts are no legal prompts."""
    return prompts is not None and (prompts.inputs is not None or prompts.bos is not None)


def legal_only(batch: Batch, prompts: Prompts) -> Batch:
    """Those answers of a batch whose context is a legal prompt."""
    tokens = prompts.vocabulary.tokens
    legal = [
        prompts.is_legal(tuple(tokens[token] for token in batch.context(i))) for i in range(len(batch))
    ]
    return batch.only(np.array(legal, dtype=bool))


def drawn_contexts(model: Model, prompts: Prompts, count: int, seed: int) -> Iterator[Batch]:
    """Legal prompts drawn at random with Hypothesis, grouped by their length.

    Args:
        model: the model.
        prompts: whose regular expression or strategy makes them.
        count: how many at most.
        seed: of what is drawn.

    Raises:
        CommandError: Hypothesis is not installed.
    """
    texts: dict[int, list[tuple[int, ...]]] = {}
    is_spelled = isinstance(prompts.inputs, str)
    for tokens in _draw(prompts, min(count, DRAWN), seed):
        if is_spelled and not all(token in prompts.vocabulary for token in tokens):
            continue  # a regular expression spells words letter by letter, and not only known ones
        if 0 < len(tokens) <= prompts.context and prompts.is_legal(tokens):
            texts.setdefault(len(tokens), []).append(prompts.vocabulary.ids(tokens))
    for rows in texts.values():
        known: Ids = np.unique(np.array(rows, dtype=np.int64), axis=0)
        yield batch_of(model, known)


def _draw(prompts: Prompts, count: int, seed: int) -> list[tuple[str, ...]]:
    try:
        import hypothesis
        from hypothesis import strategies
    except ImportError:
        raise CommandError(
            "legal prompts are drawn with Hypothesis, which is not installed",
            fix="pip install 'handcraft[testing]'",
        ) from None
    texts = prompts.inputs
    if texts is None:
        texts = strategies.lists(
            strategies.sampled_from(prompts.vocabulary.tokens), max_size=prompts.context
        )
    elif isinstance(texts, str):
        texts = strategies.from_regex(texts, fullmatch=True, alphabet=_alphabet(prompts))
    found: list[tuple[str, ...]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(texts)
    def collect(text: object) -> None:
        tokens = prompts.vocabulary.split(text) if isinstance(text, str) else tuple(text)  # type: ignore[arg-type]
        if prompts.bos is not None and tokens[:1] != (prompts.bos,):
            tokens = (prompts.bos, *(t for t in tokens if t != prompts.bos))
        found.append(tuple(tokens))

    is_written = isinstance(prompts.inputs, str)  # and it may match no text over the vocabulary
    with suppress(hypothesis.errors.InvalidArgument) if is_written else nullcontext():
        collect()
    return found


def _alphabet(prompts: Prompts) -> str:
    return "".join(sorted({letter for token in prompts.vocabulary.tokens for letter in token} | {" "}))
