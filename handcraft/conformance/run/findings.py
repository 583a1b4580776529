"""From failed cases to what is broken: the fewest known faults that explain them.

Every case lists the wrong answers of all known faults. So a fault predicts which cases fail, and with
which answers; a case that passes although the fault would change it contradicts the fault. The fault
that explains most failed cases with fewest contradictions is named first, with all failed cases that it
would change, and then the next one for the cases that are left. This is how digital circuits are
diagnosed with a fault dictionary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from handcraft.conformance.pack.case import Case
from handcraft.conformance.pack.read_pack import Pack
from handcraft.conformance.run.result import Finding, Result

MODEL = "{model}"
"""Stands for the name of a model in a sentence."""

MOST = 4
"""How many models a sentence names."""

OWN_WORDS = ("crashed", "hung", "error")
"""States in which an engine gave no answer that could be explained."""


def findings_of(pack: Pack, results: Sequence[Result]) -> tuple[Finding, ...]:
    """What is broken, with the cases that show it."""
    cases = {case.id: case for case in pack.cases}
    answered = {each.id: each for each in results if each.state in ("passed", "failed")}
    left = {each.id: each for each in answered.values() if each.state == "failed"}
    found: list[Finding] = []
    while left:
        faults = _best(left.values(), answered, cases)
        if not faults:
            break
        explained = tuple(
            id
            for id, each in left.items()
            if faults[0] in each.faults or faults[0] in _predicted(cases[id])
        )
        says = " or ".join(pack.faults[fault] for fault in faults)
        found.append(Finding(says, faults, explained))
        for id in explained:
            del left[id]
    return (*found, *_in_own_words([*left.values(), *(e for e in results if e.state in OWN_WORDS)]))


def _best(
    failed: Iterable[Result], answered: Mapping[str, Result], cases: Mapping[str, Case]
) -> tuple[str, ...]:
    """The faults that explain the failed cases best: more than one where nothing tells them apart."""
    candidates = dict.fromkeys(fault for each in failed for fault in each.faults)
    scores: dict[str, tuple[int, int]] = {}
    for fault in candidates:
        explained = sum(fault in each.faults for each in failed)
        against = sum(
            fault in _predicted(cases[id]) for id, each in answered.items() if each.state == "passed"
        )
        scores[fault] = (explained - against, explained)
    best = max(scores.values(), default=(0, 0))
    return tuple(fault for fault, score in scores.items() if score == best)


def _predicted(case: Case) -> frozenset[str]:
    """The faults that would change the answer of a case."""
    return frozenset(fault for wrong in case.wrong for fault in wrong.faults)


def _in_own_words(results: Sequence[Result]) -> list[Finding]:
    """A finding for each sentence that results share, but for the names of their models."""
    grouped: dict[str, list[Result]] = {}
    for each in results:
        grouped.setdefault(each.says.replace(f" {each.model}:", f" {MODEL}:"), []).append(each)
    return [
        Finding(_of_models(says, some), (), tuple(each.id for each in some))
        for says, some in grouped.items()
    ]


def _of_models(says: str, results: Sequence[Result]) -> str:
    """A sentence with the names of all models that it is about."""
    names = list(dict.fromkeys(each.model for each in results))
    more = f" and {len(names) - MOST} more models" if len(names) > MOST else ""
    return says.replace(f" {MODEL}:", f" {', '.join(names[:MOST])}{more}:")
