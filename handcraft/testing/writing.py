"""Compare what a model writes with a plain Python function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from handcraft.language.regular.matching import Matching
from handcraft.model import Model
from handcraft.verify.texts.batch import Ids

EVERY_UP_TO = 10_000
SAMPLE = 2_000
BATCH = 4_096

Meaning = Callable[[str], str]
"""From a prompt to what is written after it: one token, or several."""


def assert_writes(
    model: Model,
    meaning: Meaning,
    starts: str | Iterable[str],
    *,
    longest: int | None = None,
    every_up_to: int = EVERY_UP_TO,
    sample: int = SAMPLE,
    seed: int = 0,
) -> int:
    """Assert that greedy decoding of a model writes what a function says.

    Args:
        model: the model.
        meaning: what should follow a prompt, as text; words are separated by spaces.
        starts: the prompts: a regular expression that they match as a whole, or the prompts themselves.
        longest: the most tokens of a prompt that matches; as many as the model has positions, if left
            out.
        every_up_to: with at most so many texts that match, every one is tried.
        sample: otherwise so many drawn at random, of all lengths.
        seed: of the sample.

    Returns:
        How many prompts were tried.

    Raises:
        AssertionError: naming a prompt, what should follow it, and what the model writes; or saying
            that there is nothing to try, or no space for an answer.
        RegularExpressionError: `starts` is not a regular expression, or its automaton is too large.
    """
    tried = 0
    most = model.context if longest is None else longest
    for rows in prompts_of(model, starts, most, every_up_to=every_up_to, sample=sample, seed=seed):
        for start in range(0, len(rows), BATCH):
            _assert_rows(model, meaning, rows[start : start + BATCH])
        tried += len(rows)
    if not tried:
        raise AssertionError("no prompt was tried")
    return tried


def prompts_of(
    model: Model,
    starts: str | Iterable[str],
    longest: int,
    *,
    every_up_to: int,
    sample: int,
    seed: int = 0,
) -> Iterator[Ids]:
    """The prompts to try, as ids: [prompt, position] for each length."""
    if isinstance(starts, str):
        texts = Matching(starts, model.vocabulary, longest)
        yield from texts if texts.count <= every_up_to else texts.draw(sample, seed)
        return
    by_length: dict[int, list[tuple[int, ...]]] = {}
    for text in starts:
        ids = model.vocabulary.ids(text)
        by_length.setdefault(len(ids), []).append(ids)
    for rows in by_length.values():
        yield np.array(rows, dtype=np.int64)


def _assert_rows(model: Model, meaning: Meaning, rows: Ids) -> None:
    """All prompts of one length; those with answers of one length run together."""
    vocabulary = model.vocabulary
    meant = [vocabulary.ids(meaning(vocabulary.text(row))) for row in rows.tolist()]
    for size in sorted({len(answer) for answer in meant}):
        some = [i for i, answer in enumerate(meant) if len(answer) == size]
        answers = np.array([meant[i] for i in some], dtype=np.int64)
        prompt = vocabulary.text(rows[some[0]])
        if size == 0:
            raise AssertionError(f"nothing should follow {prompt!r}, and a model always writes a token")
        if rows.shape[1] + size - 1 > model.context:
            raise AssertionError(f"{prompt!r} leaves no space for {size} tokens")
        texts = np.hstack([rows[some], answers[:, :-1]])
        predicted = model.forward(texts)[:, rows.shape[1] - 1 :].argmax(axis=-1)
        wrong = np.flatnonzero((predicted != answers).any(axis=1))
        if len(wrong):
            raise AssertionError(
                _difference(model, texts[wrong[0]], rows.shape[1], answers, predicted, wrong)
            )


def _difference(model: Model, text: Ids, start: int, answers: Ids, predicted: Ids, wrong: Ids) -> str:
    here = wrong[0]
    place = int(np.flatnonzero(predicted[here] != answers[here])[0])
    vocabulary = model.vocabulary
    after = vocabulary.text(text[: start + place])
    return (
        f"{len(wrong)} of {len(answers)} answers are wrong; after {after!r}:\n"
        f"  it should write  {vocabulary.token(int(answers[here, place]))}\n"
        f"  the model writes {vocabulary.token(int(predicted[here, place]))}"
    )
