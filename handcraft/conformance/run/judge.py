"""Judge what an engine answered: right, wrong in a way that is known, or nonsense."""

from __future__ import annotations

import numpy as np

from handcraft.conformance.cases.request import Outcome
from handcraft.conformance.pack.case import Case, first_wrong
from handcraft.conformance.pack.read_pack import ModelFiles, Pack
from handcraft.conformance.run.result import Result
from handcraft.vocabulary import Vocabulary


def judged(case: Case, outcome: Outcome, pack: Pack, vocabulary: Vocabulary, seconds: float) -> Result:
    """The result of a case."""
    model = pack.models[case.model]
    nonsense = _nonsense(case, outcome, model)
    if nonsense is not None:
        return Result(case.id, case.model, "failed", nonsense, (), seconds)
    wrong = first_wrong(outcome.tokens, case.answers)
    if wrong is None:
        return Result(case.id, case.model, "passed", seconds=seconds)
    known = next((each for each in case.wrong if each.answer == outcome.tokens), None)
    says = _described(case, outcome, model, vocabulary, wrong)
    faults = known.faults if known is not None else ()
    return Result(case.id, case.model, "failed", says, faults, seconds)


def _nonsense(case: Case, outcome: Outcome, model: ModelFiles) -> str | None:
    """What makes an outcome none at all, before it is compared."""
    if len(outcome.tokens) != len(case.answers):
        return f"gives {len(outcome.tokens)} answers to {len(case.answers)} prompts"
    for logits, answers in zip(outcome.logits, case.answers, strict=False):
        if logits.ndim != 2:
            return f"gives logits with {logits.ndim} axes, not one for each place and id"
        if logits.shape[1] != model.n_vocab:
            return f"gives {logits.shape[1]} logits, and the model has {model.n_vocab}"
        if case.kind in ("every", "pieces") and len(logits) != len(answers):
            return f"gives logits at {len(logits)} of {len(answers)} places"
        if not np.isfinite(logits).all():
            return "gives logits that are not finite numbers"
    for row in outcome.tokens:
        outside = [token for token in row if not 0 <= token < model.n_vocab]
        if outside:
            return f"answers with id {outside[0]}, and the model has ids up to {model.n_vocab - 1}"
    return None


def _described(
    case: Case, outcome: Outcome, model: ModelFiles, vocabulary: Vocabulary, wrong: tuple[int, int]
) -> str:
    """A wrong answer in words: where, what, and what it says by itself."""
    row, place = wrong
    given, accepted = outcome.tokens[row], case.answers[row]
    prompt = f" to prompt {row + 1}" if len(case.answers) > 1 else ""
    at = f" at place {place + 1} of {len(accepted)}" if len(accepted) > 1 else ""
    if place >= len(given):
        return f"stops{prompt} after {len(given)} of {len(accepted)} tokens"
    if place >= len(accepted):
        return f"goes on{prompt} after {len(accepted)} tokens"
    right = " or ".join(vocabulary.token(token) for token in accepted[place])
    reading = model.readings.get(given[place])
    meaning = f": {reading}" if reading else ""
    return f"answers {vocabulary.token(given[place])}{prompt}{at} where {right} is right{meaning}"
