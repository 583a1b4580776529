"""Try interchange interventions: the model's answers must be those of its causal model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from handcraft.ground_truth.causal.answers import are_answers
from handcraft.ground_truth.causal.interchange import logits_after_exchange
from handcraft.ground_truth.causal.mechanisms import Flags, Ids, Mechanisms, Outcome, Setting
from handcraft.ground_truth.stream.featurizer import Featurizer
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft_check.program.interpret import Column

DRAWN = 4
"""How many interventions are drawn for each one that is wanted: the program says nothing about some."""

AT_ONCE = 1 << 21
"""About how many numbers of residual streams are changed at once."""

BUDGET = 1 << 22
"""About how many for each expression, however many interventions are asked for."""

FEWEST = 8
"""So many interventions are tried all the same, where each changes many numbers."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Texts, with what the program means and the model computes on them.

    Args:
        texts: places in the vocabulary, [text, position]; shorter texts are padded at their end.
        lengths: how many tokens each has: [text].
        asked: after which positions the program is asked: [text, position].
        outcome: what the program means; it is not defined after the end of a text.
        streams: the residual stream of the model in every state: [text, position, n_embd] each.
    """

    texts: Ids
    lengths: Ids
    asked: Flags
    outcome: Outcome
    streams: Sequence[Array] = field(repr=False)

    def codes(self, number: int) -> Ids:
        """A code for the value of an expression, 0 where it has none: [text, position]."""
        found = np.broadcast_to(self.outcome.columns[number].codes, self.texts.shape)
        return np.where(np.arange(self.texts.shape[1]) < self.lengths[:, None], found, 0)


@dataclass(frozen=True, eq=False)
class Exchanges:
    """Some interventions on one expression in texts of one length, and what follows from them.

    Args:
        sample: the texts.
        bases: the numbers of the texts that are changed: [intervention].
        sources: the numbers of those that the value is from: [intervention].
        positions: the positions of the value: [intervention].
        answers: what the causal model answers: [intervention, position].
        compared: which of these are compared: what is asked at the position or later, and defined.
        changes: whether any answer that is compared differs from that without the intervention.
    """

    sample: Sample
    bases: Ids
    sources: Ids
    positions: Ids
    answers: Ids
    compared: Flags
    changes: Flags

    def __len__(self) -> int:
        return len(self.bases)

    def defined(self, count: int) -> Exchanges:
        """The first interventions after which the program defines an answer, at most so many.

        Interventions between them after which it does not are kept too.
        """
        known = np.flatnonzero(self.compared.any(axis=1))
        end = len(self) if len(known) <= count else int(known[count])
        part = slice(0, end)
        return replace(
            self,
            bases=self.bases[part],
            sources=self.sources[part],
            positions=self.positions[part],
            answers=self.answers[part],
            compared=self.compared[part],
            changes=self.changes[part],
        )

    @property
    def where(self) -> Flags:
        """The exchanged positions: [intervention, position]."""
        return np.equal(np.arange(self.sample.texts.shape[1]), self.positions[:, None])


@dataclass(frozen=True)
class Tally:
    """The results of some interventions.

    Args:
        tried: how many there were.
        right: after how many of them every answer was that of the causal model.
        changing: how many change an answer of the causal model.
        undefined: how many more were drawn after which the program defines no answer.
        is_all: whether these are all interventions on the texts.
        wrong: a wrong one: the text, the other text, and the position.
    """

    tried: int = 0
    right: int = 0
    changing: int = 0
    undefined: int = 0
    is_all: bool = True
    wrong: tuple[Ids, Ids, int] | None = None

    @property
    def is_right(self) -> bool:
        """Whether there were interventions, and all of them were right."""
        return 0 < self.tried == self.right


class Trials:
    """Tries interventions on the expressions of a program.

    Args:
        model: the model.
        mechanisms: the causal model.
        samples: the texts, length by length.
        count: about how many interventions for each expression; all, if there are no more.
        seed: of those that are drawn.
        budget: about how many numbers of residual streams are changed for each expression.
    """

    def __init__(
        self,
        model: Model,
        mechanisms: Mechanisms,
        samples: Sequence[Sample],
        count: int,
        seed: int,
        budget: int = BUDGET,
    ) -> None:
        self.model, self.mechanisms, self.samples = model, mechanisms, samples
        self.count, self.seed, self.budget = count, seed, budget

    def exchanges(self, number: int) -> tuple[list[Exchanges], bool]:
        """Interventions on an expression, and whether these are all that the texts allow."""
        found, is_all = [], True
        random = np.random.default_rng((self.seed, number))
        for sample in self.samples:
            texts, length = sample.texts.shape
            share = self.count * texts / sum(len(each.texts) for each in self.samples)
            numbers = length * self.model.shape.n_embd
            left = max(1, round(min(share, max(FEWEST, self.budget // numbers))))
            reached = _reached(sample.asked, causal=self.mechanisms.meaning.causal)
            chosen, is_every = _chosen(sample.codes(number), reached, DRAWN * left, random)
            is_all = is_all and is_every
            step = max(FEWEST, AT_ONCE // numbers)
            for start in range(0, len(chosen[0]), step):
                bases, sources, positions = (part[start : start + step] for part in chosen)
                drawn = self._exchanges(sample, number, bases, sources, positions)
                kept = drawn.defined(left)
                is_all = is_all and len(kept) == len(drawn)
                found.append(kept)
                left -= int(kept.compared.any(axis=1).sum())
                if not left:
                    is_all = is_all and start + step >= len(chosen[0])
                    break
        return found, is_all

    def _exchanges(
        self, sample: Sample, number: int, bases: Ids, sources: Ids, positions: Ids
    ) -> Exchanges:
        where = np.arange(sample.texts.shape[1]) == positions[:, None]
        values = sample.outcome.columns[number].values
        setting = Setting(number, where, Column(sample.codes(number)[sources], values))
        after = self.mechanisms.run(sample.texts[bases], setting)
        later = np.arange(sample.texts.shape[1]) >= positions[:, None]
        if not self.mechanisms.meaning.causal:
            later = np.ones_like(later)
        compared = sample.asked[bases] & later & after.is_defined
        changes = (compared & (after.answers != sample.outcome.answers[bases])).any(axis=1)
        return Exchanges(sample, bases, sources, positions, after.answers, compared, changes)

    def tally(
        self,
        exchanges: Sequence[Exchanges],
        done: int,
        featurizer: Featurizer,
        *,
        is_all: bool,
        is_orthogonal: bool = False,
    ) -> Tally:
        """Run the model with interventions, and compare its answers.

        Args:
            exchanges: the interventions.
            done: the state of the stream, as `Model.resume` counts.
            featurizer: of what is exchanged.
            is_all: whether the interventions are all that there are.
            is_orthogonal: whether an orthogonal projection is exchanged.
        """
        tried = right = changing = undefined = 0
        wrong: tuple[Ids, Ids, int] | None = None
        for each in exchanges:
            stream, counted = each.sample.streams[done], each.compared.any(axis=1)
            logits = logits_after_exchange(
                self.model,
                done,
                stream[each.bases[counted]],
                stream[each.sources[counted]],
                each.where[counted],
                featurizer,
                is_orthogonal=is_orthogonal,
            )
            fits = are_answers(logits, each.answers[counted], self.mechanisms.meaning)
            good: Flags = np.logical_not(counted)
            good[counted] = (fits | ~each.compared[counted]).all(axis=1)
            tried += int(counted.sum())
            right += int((counted & good).sum())
            changing += int((counted & each.changes).sum())
            undefined += int((~counted).sum())
            if wrong is None and (counted & ~good).any():
                first = int((counted & ~good).argmax())
                texts = each.sample.texts
                base, source = each.bases[first], each.sources[first]
                wrong = texts[base], texts[source], int(each.positions[first])
        return Tally(tried, right, changing, undefined, is_all, wrong)


def _reached(asked: Flags, *, causal: bool) -> Flags:
    """Whether a change at a position can reach an answer that is asked for: [text, position]."""
    if not causal:
        return np.broadcast_to(asked.any(axis=1, keepdims=True), asked.shape)
    return np.asarray(np.logical_or.accumulate(asked[:, ::-1], axis=1)[:, ::-1])


def _chosen(
    codes: Ids, reached: Flags, count: int, random: np.random.Generator
) -> tuple[tuple[Ids, Ids, Ids], bool]:
    """Pairs of texts with different values at a position, and whether these are all.

    Args:
        codes: of the values, 0 for none: [text, position].
        reached: whether a change there can reach an answer: [text, position].
        count: how many pairs are wanted at most.
        random: what they are drawn with.
    """
    texts, length = codes.shape
    if texts * texts * length <= 1 << 20:
        differs = (codes[:, None] != codes[None]) & (codes[:, None] > 0) & (codes[None] > 0)
        every: npt.NDArray[np.int64] = np.argwhere(differs & reached[:, None])
        if len(every) > count:
            picked = every[random.choice(len(every), count, replace=False)]
            return (picked[:, 0], picked[:, 1], picked[:, 2]), False
        return (every[:, 0], every[:, 1], every[:, 2]), True
    varied = np.flatnonzero((codes != codes[:1]).any(axis=0))
    if not len(varied):
        empty = np.zeros(0, dtype=np.int64)
        return (empty, empty, empty), True
    bases, sources = (random.integers(0, texts, 8 * count) for _ in range(2))
    positions = random.choice(varied, 8 * count)
    base, source = codes[bases, positions], codes[sources, positions]
    kept = (base != source) & (base > 0) & (source > 0) & reached[bases, positions]
    picked = np.flatnonzero(kept)[:count]
    return (bases[picked], sources[picked], positions[picked]), False
