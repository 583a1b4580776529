"""Measure a planned case: in which dtypes it holds, by what margins, and what each fault answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from handcraft.conformance.cases.planned import Planned, Right
from handcraft.conformance.cases.request import Logits, Outcome
from handcraft.conformance.faults.fault import Fault
from handcraft.conformance.faults.known import faults_of, network_of
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.conformance.pack.case import Case, Margin, Wrong, first_wrong
from handcraft.dtype import dtype_named
from handcraft.errors import ConformanceError

LEAST = 16
"""The smallest margin in units in the last place with which a case is stated in a dtype: engines round
in other orders than the reference."""

LONG = 200
"""From this many new tokens on, only the faults of generation are tried: the others show earlier."""


def measured(planned: Planned, model: Diagnostic) -> Case:
    """The case with what was measured.

    Raises:
        ConformanceError: the model does not give the right answer in float32.
    """
    network, request = network_of(model.model.architecture), planned.request
    margins: dict[str, Margin | None] = {}
    for dtype in model.dtypes:
        outcome = network(model.model, dtype).answer(request)
        margin = margin_of(outcome, planned.right, dtype)
        is_finite = all(np.isfinite(logits).all() for logits in outcome.logits)
        is_right = is_finite and first_wrong(outcome.tokens, planned.right) is None
        if is_right and (margin is None or margin.ulp >= LEAST):
            margins[dtype] = margin
    if "float32" not in margins:
        raise ConformanceError(
            f"the model {model.name} does not give the right answer in float32",
            where=f"the case {planned.id}",
            fix="correct the model, or what the case calls right",
        )
    is_encoded = request.kind == "encode"
    return Case(
        planned.id,
        planned.comment,
        (model.model.architecture.name, *planned.flags),
        planned.model,
        request.kind,
        request.prompts,
        (request.text,) if is_encoded else tuple(_text(model, prompt) for prompt in request.prompts),
        planned.right,
        margins,
        tuple(_wrong(planned, model)),
        request.pieces,
        request.new_tokens,
        request.beams,
        request.end,
    )


def _text(model: Diagnostic, prompt: Sequence[int]) -> str:
    """A prompt as text, without the begin token, which a tokenizer adds."""
    begin = model.model.begin_id
    return model.model.vocabulary.text(id for id in prompt if id != begin)


def margin_of(outcome: Outcome, right: Right, dtype: str) -> Margin | None:
    """The smallest margin of all places that are judged; None where there are no logits."""
    found = [
        _margin(logits[place], allowed, dtype)
        for logits, accepted in zip(outcome.logits, right, strict=False)
        for place, allowed in enumerate(accepted)
        if allowed
    ]
    return min(found, key=lambda margin: margin.ulp, default=None)


def _margin(logits: Logits, allowed: tuple[int, ...], dtype: str) -> Margin:
    is_wrong = np.ones(len(logits), dtype=bool)
    is_wrong[list(allowed)] = False
    right, wrong = float(logits[list(allowed)].min()), float(logits[is_wrong].max())
    larger = max(abs(right), abs(wrong))
    unit = 2.0 ** (np.floor(np.log2(larger)) - dtype_named(dtype).significand + 1)
    return Margin(_rounded(right - wrong), _rounded((right - wrong) / unit))


def _rounded(number: float) -> float:
    """Four digits: the rest depends on the machine."""
    return float(f"{number:.4g}")


def _wrong(planned: Planned, model: Diagnostic) -> Iterable[Wrong]:
    """The wrong answers of all faults, each with those that give it."""
    found: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for fault in _tried(planned, model):
        answer = fault.engine(network_of(model.model.architecture), model.model).answer(planned.request)
        if first_wrong(answer.tokens, planned.right) is not None:
            found.setdefault(answer.tokens, []).append(fault.id)
    return (Wrong(answer, tuple(faults)) for answer, faults in found.items())


def _tried(planned: Planned, model: Diagnostic) -> Iterable[Fault]:
    """The faults that the case can show."""
    for fault in faults_of(model.model.architecture):
        is_reached = fault.is_reached_by(planned.request)
        is_short = planned.request.new_tokens < LONG or fault.kinds == ("generate",)
        if is_reached and is_short and planned.request.kind != "encode":
            yield fault
