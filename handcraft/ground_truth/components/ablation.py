"""How the answers of a model change when the weights of one component are set to 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft.ground_truth.causal.answers import are_answers
from handcraft.ground_truth.causal.mechanisms import NOTHING, Flags, Mechanisms, Outcome
from handcraft.ground_truth.components.partition import Component, without
from handcraft.ground_truth.contexts import Contexts
from handcraft.model import Model

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ablation:
    """How many answers change when a component is left out.

    Args:
        answers: how many were compared.
        changed: how many of them change.
        decided: how many of them the rule of the component decides; None if it is not that of a rule.
        decided_changed: how many of those change.
        replaced: how many of those would be decided by another rule if this one were missing.
        as_replaced: how many of these the model then answers as that other rule says.
    """

    answers: int
    changed: int
    decided: int | None = None
    decided_changed: int | None = None
    replaced: int | None = None
    as_replaced: int | None = None


@dataclass(frozen=True, eq=False)
class Baseline:
    """What a model answers on some texts as it is.

    Args:
        texts: places in the vocabulary, [text, position].
        asked: after which positions an answer is compared: [text, position].
        best: the best token after each position: [text, position].
        outcome: what the program says; None where only circuits are known.
    """

    texts: Ids
    asked: Flags
    best: Ids
    outcome: Outcome | None

    @classmethod
    def of(cls, model: Model, each: Contexts, mechanisms: Mechanisms | None) -> Baseline:
        """The answers of a model on some texts."""
        outcome = None if mechanisms is None else mechanisms.run(each.texts)
        return cls(each.texts, each.meant >= 0, model.answer(each.texts).argmax(axis=-1), outcome)


def ablate(
    model: Model,
    component: Component,
    baselines: Sequence[Baseline],
    mechanisms: Mechanisms | None = None,
) -> Ablation:
    """Run a model without a component on some texts.

    Args:
        model: the model.
        component: what is left out.
        baselines: the texts, and what is answered with it.
        mechanisms: the program as a causal model, which says what each rule decides; None where only
            circuits are known.
    """
    left = without(model, component)
    found = [_ablated(left, component, each, mechanisms) for each in baselines]
    total = np.sum(found, axis=0).tolist()
    return Ablation(*total) if mechanisms and len(component.rules) == 1 else Ablation(*total[:2])


def _ablated(
    left: Model, component: Component, base: Baseline, mechanisms: Mechanisms | None
) -> tuple[int, ...]:
    """The counts of an ablation on some texts."""
    logits = left.answer(base.texts)
    differs = base.asked & (logits.argmax(axis=-1) != base.best)
    counts = int(base.asked.sum()), int(differs.sum())
    if mechanisms is None or base.outcome is None or len(component.rules) != 1:
        return (*counts, 0, 0, 0, 0)
    (rule,) = component.rules
    own = base.asked & (base.outcome.rules == rule)
    others = mechanisms.answers_without(base.outcome, rule)
    covered = own & (others != NOTHING)
    fits = covered & are_answers(logits, others, mechanisms.meaning)
    return (*counts, *(int(each.sum()) for each in (own, own & differs, covered, fits)))
