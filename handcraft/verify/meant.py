"""The right answers after contexts: those of a program, or of its ideal circuits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from handcraft.circuits import Circuits, ideal_next
from handcraft.errors import AssumptionError, CircuitError
from handcraft.language import Program
from handcraft.language.meaning import Meaning as Meant
from handcraft.progress import advance
from handcraft.verify.texts.batch import Batch, Ids

Meaning = Callable[[Batch], Ids]
"""From answers to the token that each should be, [answer]; -1 for a tie, or a broken assumption."""


NUMBERS = 1 << 22
"""About how many numbers of the residual stream the ideal circuits compute at once."""


def ideal(circuits: Circuits) -> Meaning:
    """The answers of the ideal circuits, computed once for all prefixes of a text."""
    width = sum(subspace.width for subspace in circuits.stream)

    def meaning(batch: Batch) -> Ids:
        answers = np.empty(batch.texts.shape, dtype=np.int64)
        texts = max(1, NUMBERS // (batch.texts.shape[1] * width))
        for start in range(0, len(answers), texts):
            advance("run ideal circuits", start, len(answers))
            part = slice(start, start + texts)
            answers[part] = ideal_next(circuits, batch.texts[part])
        return answers[batch.rows, batch.places]

    return meaning


def oracle(program: Program | Meant) -> Meaning:
    """The answers of the program, for all contexts at once."""
    causal = program.prompts.causal if isinstance(program, Program) else program.causal

    def meaning(batch: Batch) -> Ids:
        answers = np.empty(len(batch), dtype=np.int64)
        for here, texts, rows, places in asked_of(batch, causal=causal):
            answers[here] = program.answers_at(texts, rows, places)
        return answers

    return meaning


def asked_of(batch: Batch, *, causal: bool) -> Iterator[tuple[Ids, Ids, Ids, Ids]]:
    """The answers of a batch, so many at a time as a program can give from the same texts.

    Yields:
        Which answers, and their texts, rows and positions as `Program.answers_at` takes them. Without a
        causal mask later tokens change earlier values: contexts of one length at a time.
    """
    everything = np.arange(len(batch))
    if causal:
        yield everything, batch.texts, batch.rows, batch.lengths - 1
        return
    for length in np.unique(batch.lengths).tolist():
        here = everything[batch.lengths == length]
        yield here, batch.texts[:, :length], batch.rows[here], batch.lengths[here] - 1


def broken_assumption(source: Program | Circuits | None, context: Sequence[int]) -> str | None:
    """The assumption of a program that a context breaks, in words; None for none."""
    if not isinstance(source, Program):
        return None
    try:
        source.next_token(context)
    except AssumptionError as error:
        return error.what
    return None


def meant_in(batch: Batch, meaning: Meaning, *, is_written: bool = True) -> tuple[Batch, Ids]:
    """Those contexts in texts written by a model that are allowed prompts, with the right answers.

    A context after a wrongly written token is not one.

    The meaning may fail on a context that is not an allowed prompt. Where the text was drawn, and not
    written by the model, all contexts stay.

    Returns:
        The batch without the others, and for each answer the right token: [answer].
    """
    try:
        expected = meaning(batch)
    except CircuitError:
        expected = _meant_by_length(batch, meaning, is_written)
    if not is_written:
        return batch, expected
    following = batch.following
    wrong = (following >= 0) & (following != expected)
    ends = np.full(len(batch.texts), batch.texts.shape[1])
    np.minimum.at(ends, batch.rows[wrong], batch.lengths[wrong])
    allowed = batch.lengths <= ends[batch.rows]
    return batch.only(allowed), expected[allowed]


def _meant_by_length(batch: Batch, meaning: Meaning, is_written: bool) -> Ids:
    """The right tokens, one length after the other; none after a wrong one."""
    expected = np.full(len(batch), -1)
    right = np.ones(len(batch.texts), dtype=bool)
    for length in np.unique(batch.lengths).tolist():
        here = (batch.lengths == length) & right[batch.rows]
        if here.any():
            part = batch.only(here)
            expected[here] = meaning(replace(part, texts=part.texts[:, :length]))
            if is_written:
                right[batch.rows[here]] = batch.following[here] == expected[here]
    return expected
