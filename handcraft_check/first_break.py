"""Explains `unproved`: finds the first part of a model whose errors are too large for a proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.claim import Claim
from handcraft_check.judged import Judged
from handcraft_check.layers.attention import Weights
from handcraft_check.layers.blocks import stacked
from handcraft_check.layers.matrix import Ids
from handcraft_check.program.values import ValueReader

Rows = list[Stream]
"""The residual stream at each position: [1, n_embd] each."""

TRIED = 16
"""How many positions are tried one by one, those with the largest errors first.

Where none of them is too much alone, the first is named.
"""


def first_break(claim: Claim, context: Sequence[str], position: int | None = None) -> str:
    """The first part of a model whose bounds are too wide after a text, in words.

    The stream is assumed to be exact after each part in turn: the embeddings, then the heads and the
    hidden units of each block. The part that is named is the first after which an exact stream is
    enough for a proof; of its heads, it is the first whose errors alone are too large.

    Args:
        claim: in one arithmetic, which is not shown of the text.
        context: the text.
        position: where it is judged; None for the last position.

    A case may stand for several texts. If it is shown of the given one alone, no part is named.
    """
    places = [claim.meaning.vocabulary.index(token) for token in context]
    text = _Text(claim, np.array(places), len(places) - 1 if position is None else position)
    embedded = text.embedded()
    if text.is_shown(embedded, 0):
        return "none after this text on its own; it is shown together with others"
    exact = [_exact(embedded)]
    for step in text.steps:
        exact.append(_exact(step(exact[-1])))
    if not text.is_shown(exact[-1], len(text.steps)):
        return "none: even of the last stream without errors it is not shown"
    low, high = -1, len(text.steps)  # not shown from exact rows behind part `low`, but behind `high`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if text.is_shown(exact[middle], middle) else (middle, high)
    if not high:
        return "the sum of the embeddings"
    layer, is_units = divmod(high - 1, 2)
    return (text.broken_unit if is_units else text.broken_head)(layer, exact[high - 1])


def _exact(rows: Rows) -> Rows:
    """The same centers, without errors."""
    return [Stream.of(Bounded(x.center, np.zeros_like(x.center))) for x in rows]


@dataclass(frozen=True, eq=False)
class _Text:
    """A text in a model.

    Args:
        claim: about the model.
        places: its tokens, by their places in the vocabulary: [position].
        judged: the position at which something is claimed.
    """

    claim: Claim
    places: Ids
    judged: int

    @property
    def steps(self) -> list[Callable[[Rows], Rows]]:
        """Attention and MLP of each block."""
        layers = range(self.claim.model.config.n_layer)
        return [partial(each, i) for i in layers for each in (self._attend, self._feed_forward)]

    def embedded(self) -> Rows:
        ids = self.claim.token_ids[self.places]
        return [self.claim.model.embed(ids[i : i + 1], i) for i in range(len(ids))]

    def _attend(self, layer: int, rows: Rows) -> Rows:
        return self._written(layer, rows, [out for _, _, out in self._heads(layer, rows)])

    def _written(self, layer: int, rows: Rows, outs: Sequence[Bounded]) -> Rows:
        pairs = zip(rows, outs, strict=True)
        return [self.claim.model.written(layer, x, out) for x, out in pairs]

    def _feed_forward(self, layer: int, rows: Rows) -> Rows:
        return [self.claim.model.feed_forward(layer, x) for x in rows]

    def _heads(self, layer: int, rows: Rows) -> Iterator[tuple[Bounded, Weights, Bounded]]:
        """Scores, weights, [1, head, source], and output, [1, head, dimension], at each position."""
        model, is_causal = self.claim.model, self.claim.domain.causal
        read = [model.attend_from(layer, x, i) for i, x in enumerate(rows)]
        before = model.begun[layer : layer + 1]
        for i, (query, _, _) in enumerate(read):
            seen = [*before, *(parts[1:] for parts in (read[: i + 1] if is_causal else read))]
            seen = seen[-model.config.window :] if model.config.window else seen
            keys, values = (stacked([parts[k] for parts in seen]) for k in (0, 1))
            yield model.read_of(layer, query, keys, values)

    def is_shown(self, rows: Rows, done: int) -> bool:
        """Whether the claim is shown if these are the streams after some number of steps."""
        for step in self.steps[done:]:
            rows = step(rows)
        claim, x = self.claim, rows[self.judged]
        if claim.meaning.outputs:
            return self._is_value_shown(x)
        if claim.domain.causal:
            answers = claim.meaning.answers(self.places[None]).codes
        else:
            answers = claim.meaning.answers_everywhere(self.places[None]).codes[:, self.judged]
        if answers[0] < 0:
            return False
        logits, model = claim.model.logits(x), claim.model
        if claim.meaning.distributions:
            found = claim.judge.judged(
                logits, answers, lambda some, token: model.difference(x[some], logits[some], token)
            )
        else:
            margins = model.margins(x, logits, claim.token_ids[answers])
            found = Judged(margins, np.zeros(1))
        return bool(found.margins[0] > 0 and found.distances[0] <= claim.judge.within)

    def _is_value_shown(self, x: Stream) -> bool:
        meaning = self.claim.meaning
        reader = ValueReader(meaning.outputs, self.claim.model.config.n_embd)
        if self.claim.domain.causal:
            values = meaning.values(self.places)
            if values is None:
                return False
            meant = np.array([float(value) for value in values])
        else:
            meant = meaning.values_everywhere(self.places[None])[0, self.judged]
        return bool(reader.shares(*reader.read(x), meant[None])[0] <= 1)

    def broken_head(self, layer: int, rows: Rows) -> str:
        """The first head of a block whose errors alone are too large, in words."""
        heads = self.claim.model.blocks[layer].heads
        found = [*self._heads(layer, rows)]

        def only(positions: Sequence[int], head: int) -> bool:
            """Whether the claim is shown if these are the only errors."""
            outs = []
            for position, (_, _, out) in enumerate(found):
                error = np.zeros_like(out.error)
                if position in positions:
                    error[:, head] = out.error[:, head]
                outs.append(replace(out, error=error))
            return self.is_shown(self._written(layer, rows, outs), 2 * layer + 1)

        broken = (head for head in range(heads.count) if not only(range(len(rows)), head))
        head = next(broken, None)
        if head is None:
            return f"block {layer}, its heads together"
        spread = [float(out.error[0, head] @ heads.write_sizes[head]) for _, _, out in found]
        position = _first_of(spread, lambda at: not only([at], head))
        scores, weights, out = found[position]
        off = weights.error[0, head]
        place = int(np.nan_to_num(off, nan=np.inf).argmax())
        seen = position + 1 if self.claim.domain.causal else len(rows)
        source = seen - len(off) + place
        sizes = (out.error[0, head].max(), scores.error[0, head].max(), off[place])
        output, scored, weighted = (f"up to {size:.3g}" for size in sizes)
        return (
            f"block {layer}, head {heads.numbers[head]} at position {position}: its output is off by "
            f"{output}, its scores by {scored}, and its weights by {weighted}, that of "
            f"{'the begin token' if source < 0 else f'position {source}'}"
        )

    def broken_unit(self, layer: int, rows: Rows) -> str:
        """The hidden unit of a block with the largest errors, in words."""
        model, block = self.claim.model, self.claim.model.blocks[layer]
        after = self._feed_forward(layer, rows)

        def is_too_much(at: int) -> bool:
            """Whether the claim is not shown if the only errors are those at one position."""
            some = [x if i == at else _exact([x])[0] for i, x in enumerate(after)]
            return not self.is_shown(some, 2 * layer + 2)

        position = _first_of([float(x.error.sum()) for x in after], is_too_much)
        (read,) = model.read(rows[position], block.ln_2, block.opening)
        is_off = read.center[0] + read.error[0] <= -model.activation.straight
        size = np.where(is_off, 0.0, read.error[0] * block.mlp_out.magnitude.max(axis=1))
        unit = int(np.nan_to_num(size, nan=np.inf).argmax())
        reader = "it" if block.gate is None else "its gate"
        return (
            f"block {layer}, hidden unit {block.units[unit]} at position {position}: {reader} reads "
            f"{read.center[0, unit]:.4g}, off by up to {read.error[0, unit]:.3g}"
        )


def _first_of(spread: Sequence[float], is_too_much: Callable[[int], bool]) -> int:
    """The first position whose errors alone are too large, in the order of their size.

    Args:
        spread: the size of the errors: [position].
        is_too_much: whether the errors at one position alone are too large.
    """
    order = np.argsort(-np.nan_to_num(spread, nan=np.inf), kind="stable").tolist()
    return int(next((at for at in order[:TRIED] if is_too_much(at)), order[0]))
