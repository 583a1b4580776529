"""Models without a causal mask: each text on its own, with what is meant at each of its positions.

A later token changes what is computed at earlier positions, so that texts share nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream, joined
from handcraft_check.by_cases.found import BudgetError, Found
from handcraft_check.by_cases.policy import StuckError
from handcraft_check.judged import Judge, Judged
from handcraft_check.layers.model import BLURRED, Model
from handcraft_check.program.domain import Domain, Ids
from handcraft_check.program.meaning import BROKEN, Meaning
from handcraft_check.program.values import ValueReader

CELLS = 1 << 21
"""How many numbers of keys are in memory at once, for all pairs of positions."""


def last_everywhere(model: Model, ids: Ids) -> Stream:
    """The last residual stream at every position of some texts, each of which sees all others.

    Args:
        model: whose heads see later positions too.
        ids: [text, position].

    Returns:
        [text * position, n_embd], one text behind the other.
    """
    count, length = ids.shape
    x = joined([model.embed(ids[:, i], i) for i in range(length)])
    x = x[np.arange(count * length).reshape(length, count).T.ravel()]  # one text behind the other
    texts = np.repeat(np.arange(count), length)  # of each row
    sources = texts[:, None] * length + np.arange(length)  # [row, source]
    rows = np.repeat(np.arange(count * length), length)  # of each pair
    for layer in range(model.config.n_layer):
        out = _head_outputs(model, layer, x, rows, sources.ravel())
        x = model.feed_forward(layer, model.written(layer, x, out))
    return x


def _head_outputs(model: Model, layer: int, x: Stream, rows: Ids, sources: Ids) -> Bounded:
    """What the heads of a block read: [row, head, dimension].

    Args:
        model: whose heads they are.
        layer: the number of the block.
        x: the stream: [row, n_embd].
        rows: the destination of each pair: [pair].
        sources: the source of each pair: [pair].
    """
    heads, count = model.blocks[layer].heads, len(x.center)
    if not heads.count:
        none = np.zeros((count, 0, 0))
        return Bounded(none, none)
    length = len(rows) // count
    queries, keys, values = model.attend_from(layer, x)
    scores = model.pair_scores(layer, queries[rows], keys[sources])  # [pair, head]
    if scores.error.max(initial=0.0) > BLURRED:
        scores = _sharpened(model, layer, scores, queries[rows], keys[sources], length)
    read, shape = values[sources], (count, length, heads.count)
    of_rows = (part.reshape(shape).swapaxes(1, 2) for part in (scores.center, scores.error))
    seen = (part.reshape(*shape, heads.moved).swapaxes(1, 2) for part in (read.center, read.error))
    return model.attention(Bounded(*of_rows), Bounded(*seen))[1]


def _sharpened(
    model: Model, layer: int, scores: Bounded, queries: Bounded, keys: Bounded, length: int
) -> Bounded:
    """Scores about the highest of each query, in one head after the other: [pair, head]."""
    error = scores.error.copy()
    for head in range(error.shape[1]):
        center = scores.center[:, head].reshape(-1, length)
        best = np.arange(len(center)) * length + center.argmax(axis=1)
        around = np.repeat(keys.center[best, head], length, axis=0)
        near = model.pair_scores(layer, queries[:, head], keys[:, head], around, head)
        error[:, head] = near.error
    return Bounded(scores.center, error)


def inputs(domain: Domain) -> Iterator[Ids]:
    """All inputs of a domain, those of one length together: [text, position]."""
    texts, states = np.zeros((1, 0), dtype=np.int64), np.zeros(1, dtype=np.int64)
    tokens = domain.next.shape[1]
    for _ in range(domain.length):
        rows, added = np.repeat(np.arange(len(texts)), tokens), np.tile(np.arange(tokens), len(texts))
        after = domain.next[states[rows], added]
        stays = after >= 0
        texts = np.concatenate([texts[rows], added[:, None]], axis=1)[stays]
        states = after[stays]
        if domain.final[states].any():
            yield texts[domain.final[states]]


def prove_unmasked(
    model: Model,
    token_ids: Ids,
    domain: Domain,
    meaning: Meaning,
    *,
    budget: int,
    log: Callable[[str], None] = lambda text: None,
) -> Found:
    """Show of every input, at each of its positions, that the model predicts what is meant.

    Of a model of values: that the number of every output is as near to its value as is stated.

    Raises:
        BudgetError: there are more texts than the budget.
        StuckError: it cannot be shown.
    """
    if domain.prefixes(budget) > budget:
        raise BudgetError
    judging, found = _Judging(model, token_ids, meaning), Found()
    for texts in inputs(domain):
        length = texts.shape[1]
        log(f"{len(texts)} texts of {length} tokens")
        step = max(1, CELLS // (length * length * max(1, model.config.n_embd)))
        for start in range(0, len(texts), step):
            found = judging.shown(found, texts[start : start + step])
    return found


class _Judging:
    """Judges what a model computes of texts.

    Args:
        model: whose heads see later positions too.
        token_ids: the id of each token of the vocabulary.
        meaning: what is meant.
    """

    def __init__(self, model: Model, token_ids: Ids, meaning: Meaning) -> None:
        self.model, self.token_ids, self.meaning = model, token_ids, meaning
        self.judge = Judge(token_ids, meaning.distributions, meaning.within, model.config.vocab_size)
        self.values = ValueReader(meaning.outputs, model.config.n_embd)

    def shown(self, found: Found, texts: Ids) -> Found:
        """What was found, and what of some texts: [text, position].

        Raises:
            StuckError: it cannot be shown of one.
        """
        length = texts.shape[1]

        def text_of(row: int) -> tuple[str, ...]:
            return tuple(self.meaning.vocabulary[place] for place in texts[row // length].tolist())

        answers = self.meaning.answers_everywhere(texts).codes.ravel()
        if (answers == BROKEN).any():
            row = int((answers == BROKEN).argmax())
            why = "an assumption of the program may be broken"
            raise StuckError(why, text_of(row), -np.inf, row % length, [], {})
        last = last_everywhere(self.model, self.token_ids[texts])
        judged = (
            self._judged_values(texts, last)
            if self.meaning.outputs
            else self._judged_logits(answers, last)
        )
        allowed = 1.0 if self.meaning.outputs else self.judge.within
        is_right = (judged.margins > 0) & (judged.distances <= allowed)
        if not is_right.all():
            row = int(is_right.argmin())
            margin, position = float(judged.margins[row]), row % length
            why = f"{self._missed(judged, row)} at position {position}"
            raise StuckError(why, text_of(row), margin, position, [], {})
        for row in judged.worst(np.ones(len(answers), dtype=bool)):
            margin, distance = float(judged.margins[row]), float(judged.distances[row])
            found = found.of_context(text_of(row), margin, distance)
        found.cases += len(texts)
        return found

    def _judged_values(self, texts: Ids, last: Stream) -> Judged:
        """How far the numbers of outputs are from their values, of what is allowed; no margin."""
        meant = self.meaning.values_everywhere(texts)
        center, error = self.values.read(last)
        shares = self.values.shares(center, error, meant.reshape(center.shape))
        return Judged(np.full(len(shares), np.inf), shares)

    def _judged_logits(self, answers: Ids, last: Stream) -> Judged:
        """How far the logits of what is meant are above all others, and probabilities off."""
        model, logits = self.model, self.model.logits(last)
        if self.meaning.distributions:
            return self.judge.judged(
                logits,
                answers,
                lambda rows, token: model.difference(last[rows], logits[rows], token),
            )
        margins = model.margins(last, logits, self.token_ids[answers])
        return Judged(np.nan_to_num(margins, nan=-np.inf), np.zeros(len(margins)))

    def _missed(self, judged: Judged, row: int) -> str:
        """What cannot be shown of a position, in words."""
        if self.meaning.outputs:
            return f"a value may be off by {judged.distances[row]:.4g} times what is allowed"
        if judged.margins[row] > 0:
            return f"the probabilities may be off by {judged.distances[row]:.4g}"
        return f"the margin may be as low as {judged.margins[row]:.4g}"
