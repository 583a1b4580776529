"""Prove margins of cases, from the files of a pack: what holds in any order of summation.

A margin that was measured holds for the order in which the reference sums. `handcraft_check`, which
shares no code with it, bounds the logits of the same texts whatever the order, with fused multiply-add
or without, in eager attention and in sdpa.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import floor, log10
from pathlib import Path

from handcraft.conformance.models.diagnostic import DTYPES
from handcraft.conformance.pack.case import Case, Margin
from handcraft.progress import advance
from handcraft_check.texts import Right, Text, proved_margins


def texts_of(case: Case) -> Iterator[tuple[Text, Right]]:
    """The texts that a case runs, each with what is right at the positions that are judged.

    Rows of a batch are texts of their own, since a mask leaves padding no weight. The pieces of a
    prompt are one text, and so is a prompt with what is generated after it.
    """
    for prompt, accepted in zip(case.prompts, case.answers, strict=True):
        text = prompt
        places: Sequence[int] = range(len(prompt) - len(accepted), len(prompt))
        if case.kind == "generate":
            text = (*prompt, *(allowed[0] for allowed in accepted[:-1]))
            places = range(len(prompt) - 1, len(text))
        elif case.kind == "pieces":
            places = [sum(case.pieces[: i + 1]) - 1 for i in range(len(case.pieces))]
        right = {at: ids for at, ids in zip(places, accepted, strict=True) if ids}
        if right:
            yield text, right


def with_proofs(cases: Sequence[Case], folders: Mapping[str, Path]) -> list[Case]:
    """The cases with what can be proved of their margins.

    Args:
        cases: of any models.
        folders: where the Hugging Face files of each model are.
    """
    found = {case.id: case for case in cases}
    for number, (model, folder) in enumerate(folders.items()):
        advance("prove margins", number, len(folders))
        for dtype in DTYPES:
            stated = [case for case in cases if case.model == model and case.margins.get(dtype)]
            for id, least in proved_of(stated, folder, dtype).items():
                found[id] = _with_proof(found[id], dtype, least)
    return list(found.values())


def proved_of(cases: Iterable[Case], folder: Path, dtype: str) -> dict[str, float]:
    """The least margin of each case of one model that is surely more than 0, by its id."""
    texts: dict[Text, dict[int, tuple[int, ...]]] = {}
    cases = list(cases)
    for case in cases:
        for text, right in texts_of(case):
            texts.setdefault(text, {}).update(right)
    if not texts:
        return {}
    margins = proved_margins(folder, texts, dtype)
    least = {
        case.id: min(margins[text][at] for text, right in texts_of(case) for at in right)
        for case in cases
    }
    return {id: margin for id, margin in least.items() if margin > 0}


def _with_proof(case: Case, dtype: str, least: float) -> Case:
    margin = case.margins[dtype]
    assert margin is not None
    proved = Margin(margin.logit, margin.ulp, _rounded_down(least))
    return replace(case, margins={**case.margins, dtype: proved})


def _rounded_down(number: float) -> float:
    """Four digits, and not more than the number."""
    unit = 10.0 ** (floor(log10(number)) - 3)
    return float(f"{floor(number / unit * (1 - 1e-12)) * unit:.4g}")
