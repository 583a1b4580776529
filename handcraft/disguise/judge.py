"""Run a disguise against what it should answer: its meaning, or else the answers of the original."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Circuits
from handcraft.language import Program, Prompts
from handcraft.model import Model, as_reordered, as_rounded
from handcraft.model.layers.attention import Array
from handcraft.verify import logit_margins, verify

EVERY_UP_TO = 20_000
"""The most contexts that are all tried."""

SAMPLE = 2_000
"""How many random contexts are tried where there are more."""

TEXTS = 256
"""How many random texts are compared where no meaning is known; all their positions count."""

LONGEST = 64
"""The most tokens of such a text."""


NUMBERS = 1 << 24
"""About how many logits of such texts are in memory at once."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tried:
    """The answers of a model that were tried.

    Args:
        tried: how many answers were compared.
        is_all: whether those are all answers that the program promises.
        failed: how many were wrong.
        margin: the smallest logit margin.
        context: where it occurs.
        answered: what the model answers there.
        meant: what is right there.
        unexercised: the rules that decided none of the answers.
        longer: how many of the answers are to texts longer than the program's context.
    """

    tried: int
    is_all: bool
    failed: int
    margin: float
    context: str
    answered: str = ""
    meant: str = ""
    unexercised: tuple[str, ...] = ()
    longer: int = 0

    @property
    def passed(self) -> bool:
        """Whether every answer was right."""
        return self.failed == 0


class Judge(Protocol):
    """Decides whether the answers of a model are right."""

    def tried(self, model: Model) -> Tried:
        """What running a model shows, in every arithmetic in which it will run."""

    def margin_after(self, model: Model, context: str) -> float:
        """The logit margin after one text."""


@dataclass(frozen=True)
class ByMeaning:
    """Compares with the meaning of a program: all contexts if they are few, else a sample.

    Args:
        source: the rules, or the circuits.
        prompts: which texts are allowed.
        positions: texts of up to so many tokens are tried.
    """

    source: Program | Circuits
    prompts: Prompts | None
    positions: int

    def tried(self, model: Model) -> Tried:
        """What running a model shows; one in half precision runs in three arithmetics."""
        model = within(model, self.positions)
        found = self._tried(model)
        if found.passed and model.dtype != model.running_dtype:
            for run in (as_rounded, as_reordered):
                found = min(
                    found, self._tried(run(model)), key=lambda each: (-each.failed, each.margin)
                )
        return found

    def margin_after(self, model: Model, context: str) -> float:
        """The logit margin after one text."""
        model = within(model, self.positions)
        return verify(model, self.source, prompts=self.prompts, given=[context]).margin

    def _tried(self, model: Model) -> Tried:
        report = verify(
            model, self.source, prompts=self.prompts, every_up_to=EVERY_UP_TO, sample=SAMPLE
        )
        first = report.failures[0] if report.failures else None
        return Tried(
            report.tried + report.longer,
            report.is_exhaustive and not report.longer,
            report.failed,
            report.margin,
            report.margin_context if first is None else first.context,
            "" if first is None else first.answered,
            "" if first is None else first.expected or "",
            tuple(each.rule for each in report.unexercised),
            report.longer,
        )


@dataclass(frozen=True)
class ByOriginal:
    """Compares with the answers of the original after every position of random texts.

    Args:
        original: the original.
        seed: of the texts.
    """

    original: Model
    seed: int

    def tried(self, model: Model) -> Tried:
        """What running a model shows; one in half precision runs in two arithmetics."""
        runs = [model]
        if model.dtype != model.running_dtype:
            runs.append(as_rounded(model))
        found = [self._tried(run) for run in runs]
        return min(found, key=lambda each: (-each.failed, each.margin))

    def margin_after(self, model: Model, context: str) -> float:
        """The margin of the original's answer after one text."""
        ids = np.array([[*self.original.vocabulary.ids(context)]])
        meant = self._answers(self.original, ids)[:, -1].argmax(axis=-1)
        return float(logit_margins(self._answers(model, ids)[:, -1], meant)[0])

    def _tried(self, model: Model) -> Tried:
        vocabulary = self.original.vocabulary
        rng = np.random.default_rng(self.seed)
        length = min(self.original.shape.n_positions, LONGEST)
        texts = rng.integers(len(vocabulary), size=(TEXTS, length))
        rows = max(1, NUMBERS // (length * max(self.original.shape.n_vocab, model.shape.n_vocab)))
        found = [self._compared(model, texts[at : at + rows]) for at in range(0, TEXTS, rows)]
        worst = min(found, key=lambda each: each.margin)
        return replace(
            worst,
            tried=sum(each.tried for each in found),
            failed=sum(each.failed for each in found),
        )

    def _compared(self, model: Model, texts: Ids) -> Tried:
        """What some texts show: [text, position] -> every position compared."""
        vocabulary = self.original.vocabulary
        meant = self._answers(self.original, np.array(vocabulary.numbers)[texts]).argmax(axis=-1)
        logits = self._answers(model, np.array(model.vocabulary.numbers)[texts])
        margins = logit_margins(logits.reshape(-1, logits.shape[-1]), meant.ravel()).reshape(
            meant.shape
        )
        text, position = (int(each) for each in np.unravel_index(margins.argmin(), margins.shape))
        names = vocabulary.tokens
        return Tried(
            margins.size,
            False,
            int((~(margins > 0)).sum()),
            float(margins.min()),
            vocabulary.join(names[i] for i in texts[text, : position + 1]),
            names[int(logits[text, position].argmax())],
            names[int(meant[text, position])],
        )

    def _answers(self, model: Model, ids: Ids) -> Array:
        """Logits of the tokens that have names, in their order: [text, position, token]."""
        return np.asarray(model.forward(ids)[..., np.array(model.vocabulary.numbers)])


def within(model: Model, positions: int) -> Model:
    """The model with no more positions than the original, for which answers are promised."""
    if positions >= model.shape.n_positions:
        return model
    tensors = {**model.tensors, "wpe.weight": model.tensors["wpe.weight"][:positions]}
    return replace(model, shape=replace(model.shape, n_positions=positions), tensors=tensors)
