"""What the rules of a program predict, where nodes may have several values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.program.evaluate import Evaluator
from handcraft_check.program.meaning import Meaning
from handcraft_check.program.sets import is_one

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Predicted:
    """What the rules predict.

    Args:
        answers: places in the vocabulary or, behind those, numbers of distributions; -1 where it is not
            known: [row].
        wanted: the nodes that would have to have one value for it: [row] each.
    """

    answers: Ids
    wanted: Mapping[int, Flags]


def computed(
    meaning: Meaning, evaluator: Evaluator, numbers: Mapping[int, Ids], is_context: Flags
) -> Predicted:
    """Whether the values of all outputs of a model of values are known: 0 where they are, else -1.

    Args:
        meaning: what it means.
        evaluator: computed the nodes.
        numbers: for each root, the number of its set: [row].
        is_context: where values are wanted: [row].
    """
    answers, wanted = np.where(is_context, 0, -1), {}
    for output in meaning.outputs:
        unknown = is_context & ~evaluator.flags(output.node, numbers[output.node], is_one)
        answers[unknown] = -1
        if unknown.any():
            wanted[output.node] = unknown
    return Predicted(answers, wanted)


def predicted(
    meaning: Meaning, evaluator: Evaluator, numbers: Mapping[int, Ids], is_context: Flags
) -> Predicted:
    """What the first rule that fires predicts.

    Args:
        meaning: the program.
        evaluator: computed the nodes.
        numbers: for each root, the number of its set: [row].
        is_context: where something is predicted: [row].
    """
    answers = np.full(len(is_context), -1)
    is_open = is_context.copy()
    places: dict[Any, int] = {token: i for i, token in enumerate(meaning.vocabulary)}
    wanted: dict[int, Flags] = {}

    def want(node: int, rows: Flags) -> None:
        if rows.any():
            wanted[node] = wanted.get(node, np.zeros(len(rows), dtype=bool)) | rows

    for rule in meaning.rules:
        fires = is_open.copy()
        if rule.flag is not None:
            fires &= evaluator.flags(rule.flag, numbers[rule.flag], lambda v: v == {True})
            fails = is_open & evaluator.flags(rule.flag, numbers[rule.flag], lambda v: v == {False})
            want(rule.flag, is_open & ~fires & ~fails)
            is_open &= fails
        else:
            is_open = np.zeros(len(is_open), dtype=bool)
        if rule.token is None:
            answers[fires] = len(places) + rule.distribution
            continue
        sets = evaluator.sets[rule.token].listed
        each = np.array([places.get(next(iter(v)), -1) if is_one(v) else -1 for v in sets])
        answer = each[numbers[rule.token]]
        answers = np.where(fires, answer, answers)
        want(rule.token, fires & (answer < 0))
    return Predicted(answers, wanted)
