"""Does the model answer what the program means? Every context, or a stated sample of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf, isfinite, log10
from typing import Any

import numpy as np

from handcraft.circuits import Circuits
from handcraft.errors import ProgramError
from handcraft.language import Program, Prompts
from handcraft.model import Model
from handcraft.model.attention import Array
from handcraft.verify.contexts import (
    Batch,
    Ids,
    count_contexts,
    every_context,
    longer_contexts,
    random_contexts,
)
from handcraft.verify.legal import (
    DRAWN,
    Inputs,
    drawn_texts,
    is_restricted,
    legal_only,
)
from handcraft.verify.meant import broken_assumption, ideal, meant_in, oracle
from handcraft.verify.shares import CLOSE, share_errors, share_margins, shares_of
from handcraft.verify.written import following_in, legal_batches, written_from

EXHAUSTIVE_UP_TO = 10_000_000
"""The largest number of contexts that are all tried."""

SAMPLE = 100_000
"""How many contexts are tried where there are more, unless only some are legal prompts."""

LEGAL_UP_TO = 200_000
"""With at most so many legal prompts, all of them are tried, however many other contexts there are."""

LONG_TEXTS = 2
"""How many random texts of full length are run where the model has more positions than the program."""

SHOWN = 10
"""How many failures a report keeps."""

Progress = Callable[[int, int], None]
"""Called with the number of contexts tried and of all that will be."""


@dataclass(frozen=True)
class Failure:
    """An answer that is not what the program means.

    Args:
        context: as text.
        expected: the token that the program means, or the likeliest of them; None where its circuits
            tie.
        answered: the token with the highest logit.
        margin: the logit of the right token less the best wrong one.
        position: where in the context the answer stands, from 0; None at its end.
        broken: the assumption of the program that the context breaks, in words; None for none.
        off: where several tokens are meant, by how much a probability is off; None where one is.
    """

    context: str
    expected: str | None
    answered: str
    margin: float
    position: int | None = None
    broken: str | None = None
    off: float | None = None

    @property
    def place(self) -> str:
        """Where the answer stands, in words."""
        return _in_words(self.context, self.position)


@dataclass(frozen=True)
class Report:
    """What verifying found.

    Args:
        contexts: how many contexts of up to `longest` tokens there are.
        longest: the context length of the program.
        tried: how many of them were tried.
        longer: how many longer contexts were tried, where the model has room for them; all of them
            random.
        seed: of the sample; None where every context was tried.
        failed: how many answers were wrong.
        failures: the first of them.
        margin: the smallest logit margin of the right token, or of those that may follow; infinite
            where there is no other.
        margin_context: where it occurs.
        margin_position: at which position of it, from 0; None at its end.
        legal: whether only legal prompts were tried, and counted, since not every text is one.
    """

    contexts: int
    longest: int
    tried: int
    longer: int
    seed: int | None
    failed: int
    failures: tuple[Failure, ...]
    margin: float
    margin_context: str
    margin_position: int | None = None
    legal: bool = False

    @classmethod
    def of_values(cls, tried: int, longest: int) -> Report:
        """Of a model that computes values and no logits: how many random texts were right."""
        return cls(tried, longest, tried, 0, 0, 0, (), inf, "")

    @property
    def passed(self) -> bool:
        """Whether every context that was tried is right."""
        return self.failed == 0

    @property
    def margin_place(self) -> str:
        """Where the smallest margin occurs, in words."""
        return _in_words(self.margin_context, self.margin_position)

    @property
    def is_exhaustive(self) -> bool:
        """Whether every context was tried."""
        return self.seed is None

    def to_json(self) -> dict[str, Any]:
        """The report as plain data; an infinite margin is null."""
        return {
            "passed": self.passed,
            "contexts": self.contexts if self.contexts < 2**53 else about(self.contexts),
            "longest": self.longest,
            "tried": self.tried,
            "longer": self.longer,
            "exhaustive": self.is_exhaustive,
            "seed": self.seed,
            "failed": self.failed,
            "failures": [
                {
                    "context": failure.context,
                    "position": failure.position,
                    "expected": failure.expected,
                    "answered": failure.answered,
                    "broken": failure.broken,
                    "off": failure.off,
                    "margin": failure.margin if isfinite(failure.margin) else None,
                }
                for failure in self.failures
            ],
            "smallest_margin": self.margin if isfinite(self.margin) else None,
            "smallest_margin_context": self.margin_context,
            "smallest_margin_position": self.margin_position,
        }


def _in_words(context: str, position: int | None) -> str:
    return f"after {context!r}" if position is None else f"at position {position} of {context!r}"


def about(number: int) -> str:
    """A whole number of any size, to three digits.

    >>> about(1_111_111_111_110)
    '1.11e+12'
    """
    power = int(log10(number))
    return f"{10 ** (log10(number) - power):.2f}e+{power:02d}"


def verify(
    model: Model,
    source: Program | Circuits,
    *,
    prompts: Prompts | None = None,
    every_up_to: int = EXHAUSTIVE_UP_TO,
    sample: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Compare what the model answers with what its source means.

    Every context up to the program's length is tried where there are at most `every_up_to`, else
    `sample` random ones. Where the model has more positions, all beginnings of `LONG_TEXTS` random
    texts that fill it are tried besides. An answer is right when the right token's logit is higher
    than every other; where several tokens are meant, when the probability of every token is off by
    `CLOSE` at most. Rules and causal circuits say what follows a context; circuits without a causal
    mask say something at every position of it, and all of that is tried. Where only some texts are
    legal prompts, only those are tried; one that breaks an assumption of the program is a failure.
    What a program writes in them the model has written, and behind a wrong token nothing is tried.
    All of them are tried, however many other contexts there are, where a regular expression says
    which they are and there are no more than `LEGAL_UP_TO`, or than `sample`.

    Args:
        model: the model.
        source: rules, whose oracle answers, or circuits, whose ideal interpreter does.
        prompts: which texts are legal, of circuits; rules over expressions say it themselves.
        every_up_to: with at most so many contexts, every one is tried.
        sample: how many random contexts to try where there are too many for all; `SAMPLE` if left
            out, or `DRAWN` legal prompts.
        seed: of the sample.
        progress: told how far it got.

    Raises:
        ProgramError: no text is a legal prompt.
    """
    positions, longest = model.shape.n_positions, source.context
    prompts = source.prompts if isinstance(source, Program) else prompts
    legal = prompts if is_restricted(prompts) else None
    everywhere = isinstance(source, Circuits) and not source.causal
    tried_on = _contexts(model, longest, legal, every_up_to, sample, seed, everywhere)
    meaning = oracle(source) if isinstance(source, Program) else ideal(source)
    shares = shares_of(source)
    tally = _Tally(model, source)
    for batch in tried_on.batches:
        if len(batch):
            batch, expected = (batch, meaning(batch)) if legal is None else meant_in(batch, meaning)
            tally.add(batch, expected, shares(batch) if shares is not None else None)
        if progress is not None:
            progress(tally.tried, tried_on.planned)
    tried = tally.tried
    if legal is not None and not tried:
        raise ProgramError(
            f"no text of up to {longest} tokens is a legal prompt",
            where=legal.place,
            fix="write inputs= for texts over the vocabulary, no longer than the context",
        )
    for batch in longer_contexts(model, LONG_TEXTS, seed, longest + 1) if positions > longest else ():
        tally.add(batch, meaning(batch), shares(batch) if shares is not None else None)
    return Report(
        contexts=count_contexts(len(model.vocabulary), longest) if legal is None else tried,
        longest=longest,
        tried=tried,
        longer=tally.tried - tried,
        seed=None if tried_on.is_all else seed,
        failed=tally.failed,
        failures=tuple(tally.failures),
        margin=tally.margin,
        margin_context=tally.margin_context,
        margin_position=tally.margin_position,
        legal=legal is not None,
    )


@dataclass(frozen=True)
class _Contexts:
    """The contexts to try: the batches, about how many they hold, and whether that is all there are."""

    batches: Iterator[Batch]
    planned: int
    is_all: bool


def _contexts(
    model: Model,
    longest: int,
    legal: Prompts | None,
    every_up_to: int,
    sample: int | None,
    seed: int,
    everywhere: bool,
) -> _Contexts:
    """All contexts where there are few enough, else random ones; only legal ones where not all are."""
    total = count_contexts(len(model.vocabulary), longest)
    if legal is not None:
        inputs = Inputs.of(legal)
        most = min(every_up_to, max(LEGAL_UP_TO, sample or 0))
        if inputs is not None and inputs.count * legal.writes <= most:
            written = written_from(legal, inputs.every(), following_in(model))
            batches = legal_batches(model, written, everywhere)
            return _Contexts(batches, inputs.count * legal.writes, True)
    if total <= every_up_to and (legal is None or legal.writes == 1):
        batches = every_context(model, longest, at_every_position=everywhere)
        if legal is not None:
            batches = (legal_only(batch, legal) for batch in batches)
        return _Contexts(batches, total, True)
    if legal is not None:
        written = written_from(legal, drawn_texts(legal, sample or DRAWN, seed), following_in(model))
        return _Contexts(legal_batches(model, written, everywhere), sample or DRAWN, False)
    count = sample or SAMPLE
    batches = random_contexts(model, count, seed, longest, at_every_position=everywhere)
    return _Contexts(batches, count, False)


class _Tally:
    """Counts answers as they come in."""

    def __init__(self, model: Model, source: Program | Circuits | None = None) -> None:
        self.model = model
        self.source = source
        self.tried = 0
        self.failed = 0
        self.failures: list[Failure] = []
        self.margin = inf
        self.margin_context = ""
        self.margin_position: int | None = None

    def add(self, batch: Batch, expected: Ids, shares: Array | None = None) -> None:
        """Judge one batch: by the expected tokens and, where several are, by their probabilities."""
        margins = logit_margins(batch.logits, expected)
        off = np.full(len(expected), np.nan)
        if shares is not None:
            several = (shares > 0).sum(axis=1) > 1
            off[several] = share_errors(batch.logits[several], shares[several])
            margins[several] = share_margins(batch.logits[several], shares[several])
        self.tried += int(batch.is_last.sum())
        lowest = int(margins.argmin())
        if margins[lowest] < self.margin or not self.margin_context:
            self.margin = float(margins[lowest])
            self.margin_context = self._text(batch, lowest)
            self.margin_position = _position(batch, lowest)
        wrong = np.flatnonzero(~(margins > 0) | (off > CLOSE))
        self.failed += len(wrong)
        for row in wrong[: SHOWN - len(self.failures)].tolist():
            found = self._failure(batch, row, int(expected[row]), margins[row])
            self.failures.append(found if np.isnan(off[row]) else replace(found, off=float(off[row])))

    def _text(self, batch: Batch, row: int) -> str:
        vocabulary = self.model.vocabulary
        return vocabulary.join(vocabulary.tokens[token] for token in batch.context(row))

    def _token(self, token: int) -> str:
        tokens = self.model.vocabulary.tokens
        return tokens[token] if token < len(tokens) else "a padding token"

    def _failure(self, batch: Batch, row: int, expected: int, margin: float) -> Failure:
        context = batch.context(row)
        return Failure(
            self._text(batch, row),
            None if expected < 0 else self._token(expected),
            self._token(int(batch.logits[row].argmax())),
            float(margin),
            _position(batch, row),
            broken_assumption(self.source, context) if expected < 0 else None,
        )


def _position(batch: Batch, row: int) -> int | None:
    """Where in its context an answer stands; None at the end."""
    return None if batch.is_last[row] else int(batch.places[row])


def logit_margins(logits: Array, expected: Ids) -> Array:
    """The logit of the right token less the best wrong one.

    Args:
        logits: [batch, n_vocab].
        expected: the right token of each row, [batch]; -1 where there is none.

    Returns:
        [batch]; infinite with a single token, and -inf where no token is right.
    """
    rows = np.arange(len(expected))
    others = logits.copy()
    others[rows, expected] = -np.inf
    margins = logits[rows, expected] - others.max(axis=1)
    margins[expected < 0] = -np.inf
    return np.asarray(margins)
