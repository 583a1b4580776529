"""A few cases of a pack that find every known fault and tell all faults apart.

A case tells two faults apart if they answer it differently. A greedy search repeatedly takes the case
that tells most pairs apart, relative to the tokens that it runs. The right answers count as one more
fault, so each fault also differs from a right engine. The search runs for GPT-2s and for Llamas
separately, since an engine may run only one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np
import numpy.typing as npt

from handcraft.conformance.pack.case import Case
from handcraft.conformance.pack.read_pack import Pack

LONG = 5_000
"""A case that runs at least this many tokens takes longer than all the others together."""

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
    """The ids of cases that together tell apart all pairs that any of them tells apart.

    Args:
        cases: which pairs each tells apart, and what it costs, by its id.
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
    """Which pairs of faults a case tells apart: [pair]. The right answers are the last fault."""
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
