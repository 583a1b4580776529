"""What is right after contexts: as a program means it, or as its ideal circuits say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from handcraft.circuits import Circuits, ideal_next
from handcraft.errors import AssumptionError, CircuitError
from handcraft.language import Program
from handcraft.verify.contexts import Batch, Ids

Meaning = Callable[[Batch], Ids]
"""From answers to the token that each should be, [answer]; -1 for a tie, or a broken assumption."""

Notes = dict[tuple[int, ...], str]
"""Contexts that break an assumption of the program, with the assumption."""


def ideal(circuits: Circuits) -> Meaning:
    """Ask the ideal circuits, once for all contexts that begin the same text."""
    return lambda batch: ideal_next(circuits, batch.texts)[batch.rows, batch.places]


def oracle(program: Program, broken: Notes | None = None) -> Meaning:
    """Ask the program, once for all contexts that it cannot tell apart.

    Args:
        program: the program.
        broken: contexts that break an assumption are noted here.
    """
    notes = {} if broken is None else broken
    if program.prompts is not None and program.prompts.causal:
        return _oracle_of_texts(program, notes)
    return _oracle_of_ends(program, notes)


def _oracle_of_texts(program: Program, notes: Notes) -> Meaning:
    """Ask a program over expressions, once for all contexts that begin the same text."""

    def ask(text: tuple[int, ...]) -> int:
        try:
            return program.next_token(text)
        except AssumptionError as error:
            notes[text] = error.what
            return -1

    def ask_each(text: tuple[int, ...], lengths: list[int]) -> list[int]:
        try:
            said = program.next_tokens(text)
        except AssumptionError:  # which may hold in some of its beginnings
            return [ask(text[:length]) for length in lengths]
        return [said[length - 1] for length in lengths]

    def meaning(batch: Batch) -> Ids:
        answers = np.empty(len(batch), dtype=np.int64)
        order = np.argsort(batch.rows, kind="stable")
        for same in np.split(order, np.flatnonzero(np.diff(batch.rows[order])) + 1):
            lengths = batch.lengths[same]
            longest = batch.context(int(same[lengths.argmax()]))
            answers[same] = ask_each(tuple(longest), lengths.tolist())
        return answers

    return meaning


def _oracle_of_ends(program: Program, notes: Notes) -> Meaning:
    """Ask a program whose rules are patterns, or that has no mask.

    No pattern reads more than `reach` tokens, and an anchored one asks besides whether there are
    more, so contexts that share their last `reach` tokens and both have more share their meaning.
    """
    known: dict[tuple[int, ...], int] = {}

    def ask(end: tuple[int, ...]) -> int:
        if end not in known:
            context = tuple(token for token in end if token >= 0)
            try:
                known[end] = program.next_token(context)
            except AssumptionError as error:
                known[end] = -1
                notes[context] = error.what
        return known[end]

    def meaning(batch: Batch) -> Ids:
        ends = batch.ends(program.reach + 1)
        ends[:, 0] = np.minimum(ends[:, 0], 0)  # only that one more token is there, not which
        distinct, rows = np.unique(ends, axis=0, return_inverse=True)
        answers = np.array([ask(tuple(end)) for end in distinct.tolist()])
        return answers[rows.reshape(-1)]

    return meaning


def meant_in(batch: Batch, meaning: Meaning) -> tuple[Batch, Ids]:
    """Those contexts of texts that a model wrote that are legal prompts, and what each should be.

    What stands behind a token that it should not have written is none.

    Args:
        batch: contexts that all are legal prompts if the model is right.
        meaning: what each should be. It may fail on a context that is no legal prompt.

    Returns:
        The batch without the others, and for each answer the right token: [answer].
    """
    try:
        expected = meaning(batch)
    except CircuitError:
        expected = _meant_by_length(batch, meaning)
    following = batch.following
    wrong = (following >= 0) & (following != expected)
    ends = np.full(len(batch.texts), batch.texts.shape[1])
    np.minimum.at(ends, batch.rows[wrong], batch.lengths[wrong])
    legal = batch.lengths <= ends[batch.rows]
    return batch.only(legal), expected[legal]


def _meant_by_length(batch: Batch, meaning: Meaning) -> Ids:
    """The right tokens, asked for one length after the other; none behind a wrong one."""
    expected = np.full(len(batch), -1)
    right = np.ones(len(batch.texts), dtype=bool)
    for length in np.unique(batch.lengths).tolist():
        here = (batch.lengths == length) & right[batch.rows]
        if here.any():
            part = batch.only(here)
            expected[here] = meaning(replace(part, texts=part.texts[:, :length]))
            right[batch.rows[here]] = batch.following[here] == expected[here]
    return expected
