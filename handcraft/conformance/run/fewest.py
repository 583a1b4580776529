"""The fewest cases in which every known fault is found and told apart from all others.

Faults are told apart by a case in which they give two answers. All pairs of faults are to be divided by
as few cases as a greedy search finds: the next case is the one that divides most pairs for the tokens
that it runs. What is right counts as a fault too, so that every fault is found. The cases of GPT-2s
divide all pairs that they can, and so do those of Llamas, since an engine may run only one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np
import numpy.typing as npt

from handcraft.conformance.pack.case import Case
from handcraft.conformance.pack.read_pack import Pack

LONG = 5_000
"""A case of so many tokens takes longer than all others together."""

Flags = npt.NDArray[np.bool_]


def fewest_cases(pack: Pack) -> tuple[Case, ...]:
    """Some cases of a pack, in its order, that name every fault which the pack names.

    A case is also among them if no other has its flag, unless it is one of a long text.
    """
    chosen = set()
    for target in dict.fromkeys(model.architecture for model in pack.models.values()):
        cases = [case for case in pack.cases if pack.models[case.model].architecture == target]
        chosen |= _dividing({case.id: (_divided(case, pack), sqrt(_cost(case))) for case in cases})
    seen = {flag for case in pack.cases if case.id in chosen for flag in case.flags}
    for case in sorted(pack.cases, key=_cost):
        if not seen.issuperset(case.flags) and _cost(case) < LONG:
            chosen.add(case.id)
            seen.update(case.flags)
    return tuple(case for case in pack.cases if case.id in chosen)


def _dividing(cases: Mapping[str, tuple[Flags, float]]) -> set[str]:
    """The ids of cases that together divide all pairs that any of them divides.

    Args:
        cases: which pairs each divides, and what it costs, by its id.
    """
    left = np.logical_or.reduce([pairs for pairs, _ in cases.values()])
    chosen: set[str] = set()
    while left.any():
        gains = {id: (pairs & left).sum() / cost for id, (pairs, cost) in cases.items()}
        best = max(gains, key=lambda id: gains[id])
        chosen.add(best)
        left &= ~cases[best][0]
    return chosen


def _divided(case: Case, pack: Pack) -> Flags:
    """Which pairs of faults a case tells apart: [pair]; what is right is behind all faults."""
    numbers = {fault: number for number, fault in enumerate(pack.faults)}
    answers = np.zeros(len(numbers) + 1, dtype=np.int64)
    for number, wrong in enumerate(case.wrong, 1):
        answers[[numbers[fault] for fault in wrong.faults]] = number
    apart: Flags = answers[:, None] != answers[None, :]
    return apart[np.triu_indices(len(answers), 1)]


def _cost(case: Case) -> int:
    """How many tokens a case runs, more or less."""
    rows = len(case.prompts)
    length = max(map(len, case.prompts), default=1)
    return 20 + rows * length + 20 * len(case.pieces) + 20 * case.new_tokens * case.beams
