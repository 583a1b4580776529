"""Windows of a Llama: heads that copy one source each, or the begin token, whatever the tokens are.

The embedding does not depend on the position, and neither do values; queries and keys do, for they are
rotated. All positions at which heads copy the same are one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handcraft_check.arithmetic.regime import Array, Regime
from handcraft_check.arithmetic.rounding import (
    CERTAIN,
    LARGEST,
    TINY,
    UNIT,
    Bounded,
    product_error,
    rounded,
)
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_cases.states import hull
from handcraft_check.by_windows.cases import Cases
from handcraft_check.by_windows.copies import CELLS, COPIED, Copied
from handcraft_check.by_windows.divided import Divided
from handcraft_check.by_windows.parts import Part
from handcraft_check.by_windows.rms_norm_of_sums import are_numbers
from handcraft_check.by_windows.sums import NormedSums, Sums
from handcraft_check.by_windows.window_model import WindowModel
from handcraft_check.by_windows.windows import OWN, UnfitError
from handcraft_check.layers.attention import clear_winners, softmax
from handcraft_check.layers.llama import Llama
from handcraft_check.layers.matrix import Flags, Ids
from handcraft_check.layers.model import Model

BEGIN = -1
"""The source of a head that copies the begin token."""

ROUNDED = 16
"""So many times its error in float32 may be what a head copies off by in few digits."""


@dataclass(frozen=True, eq=False)
class RotaryCopied(Copied):
    """What the heads of the first block of a Llama copy.

    Args:
        values: of each token, and of the begin token behind them: [token + 1, head, dimension].
    """

    values: Bounded


def rotary_copies(model: Model, token_ids: Ids, length: int) -> RotaryCopied:
    """Which source each head of the first block copies at every position, for all tokens at once.

    Raises:
        UnfitError: one reads several sources, or others for other tokens.
    """
    block, heads = model.blocks[0], model.blocks[0].heads
    assert model.config.begin is not None
    assert block.rotary is not None
    ids = np.append(token_ids, model.config.begin)
    x = model.embed(ids, 0)
    matching, moving = model.read(x, block.ln_1, heads.matching, heads.moving)
    shape = (len(ids), heads.count, heads.moved)
    values = Bounded(moving.center.reshape(shape), moving.error.reshape(shape))
    if not (np.abs(values.center) + values.error < LARGEST / 16).all():
        raise UnfitError("values may be infinite")
    at = np.arange(1, length + 1)
    query, key = (hull(each[:-1]) for each in block.matching.boxes(matching))
    queries, keys = (
        block.rotary.rotated(Bounded(each.center[None], each.error[None]), at, model.regime)
        for each in (query, key)
    )
    begun = model.begun[0][0]
    keys = Bounded(
        np.concatenate([begun.center, keys.center]), np.concatenate([begun.error, keys.error])
    )
    winners = np.tile(np.arange(length), (heads.count, 1))
    leaked, off, summed = np.zeros((3, heads.count, length))
    step = max(1, CELLS // ((length + 1) * max(1, heads.count)))
    for start in range(0, length, step):
        some = np.arange(start, min(start + step, length))
        scores = model.all_scores(0, _numbers(queries[some]), _numbers(keys))
        apart = some[:, None] + 1 - np.arange(length + 1)  # [destination, source]
        seen = (apart >= 0) & (apart < (model.config.window or length + 2))
        for head in range(heads.count):
            center = np.where(seen, scores.center[head], -np.inf)
            one = Bounded(center, np.where(seen, scores.error[head], 0.0))
            best, *found = _weighed(one, model.regime)
            if not heads.write_sizes[head].any():
                continue
            winners[head, some] = best - model.config.lead
            leaked[head, some], off[head, some], summed[head, some] = found
    if not (leaked < COPIED).all():
        raise UnfitError("a head reads several sources, or another one for other tokens")
    width = model.config.n_embd
    return RotaryCopied(
        x.center[:-1], np.zeros((length, width)), np.zeros(width), winners, leaked, off, summed, values
    )


def _weighed(scores: Bounded, regime: Regime) -> tuple[Ids, Array, Array, Array]:
    """The source with the highest score; what is leaked, off and summed, as in `Copied`: [row] each.

    Raises:
        UnfitError: scores may be infinite, or nobody surely has the highest in few digits.
    """
    best, rest = clear_winners(scores)
    each = np.arange(len(best))
    least = scores.center[each, best] - scores.error[each, best]
    if not (least >= -regime.steps.largest).all():
        raise UnfitError("scores may be infinite")
    if (rest < CERTAIN).all():
        return best, rest, rest, 2.1 * rest
    weights = softmax(scores)
    if not np.isfinite(weights.most).all():
        raise UnfitError("scores may be infinite")
    others = weights.most.copy()
    others[each, best] = 0.0
    leaked = others.sum(axis=1) * (1 + 1e-9)
    is_certain = weights.rest < np.inf
    if regime.is_half and not is_certain.all():
        raise UnfitError("a head reads several sources in few digits")
    rounding = product_error(1 + leaked, (weights.most > 0).sum(axis=1).astype(np.float64))
    summed = np.where(is_certain, np.fmin(2.1 * weights.rest, rounding), rounding)
    return best, leaked, weights.common, summed


class RotaryWindowModel(WindowModel):
    """What a Llama computes at positions of one kind."""

    found: RotaryCopied

    def together(self, *, is_outright: bool) -> list[Ids]:
        """All positions: they differ in what rounding does to scores."""
        return [self.window.positions]

    def add(self, groups: Sequence[Ids]) -> Ids:
        """Look at groups of positions together: [group], their numbers.

        A head is off by what leaks from other sources, and by rounding. Where steps are rounded to few
        digits, the largest weight is exactly 1, each other is at most twice what it was, and so is what
        the sum is off by: what is within e of a number of the format is rounded to within 2 e of it.
        """
        found, values, heads = self.found, self.found.values, self.model.blocks[0].heads
        size, matrix = heads.moved, heads.out
        vocabulary, least = len(found.tokens), TINY * (2 * len(found.places) + 4)
        tables = [np.zeros_like(found.tokens) for _ in self.tables]
        errors = np.zeros((len(groups), matrix.weight.shape[1]))
        total = np.zeros_like(errors)
        for head in range(heads.count):
            weight = matrix.weight[head * size : (head + 1) * size]
            center, error = values.center[:, head], values.error[:, head]
            largest = (np.abs(center) + error).max(axis=0)
            span = (center + error).max(axis=0) - (center - error).min(axis=0)
            atom = self.window.heads[head]
            if atom == BEGIN:
                tables[OWN] += center[-1] @ weight
            else:
                tables[atom] += center[:-1] @ weight
            for number, group in enumerate(groups):
                leaked, common, summed = (
                    each[head, group].max() for each in (found.leaked, found.off, found.summed)
                )
                off = leaked * span + (common + summed) * (1 + leaked) * largest
                off = off + least
                off = error.max(axis=0) + off * (ROUNDED if self.model.regime.is_half else 1)
                errors[number] += off @ np.abs(weight)
                total[number] += (largest + off) @ np.abs(weight)
        errors += product_error(total, matrix.terms, None, matrix.is_exact)
        if self.model.regime.is_half:
            errors += np.where(matrix.terms > 0, self._rounding_of_written(tables, errors, total), 0.0)
        tables[OWN] += found.tokens
        for atom, table in enumerate(tables):
            self.tables[atom] = np.concatenate([self.tables[atom], np.tile(table, (len(groups), 1))])
        self.error = np.concatenate([self.error, errors])
        self.groups += groups
        self._read = [{} for _ in range(len(self.tables) + 1)]
        assert self.tables[OWN].shape[0] == len(self.groups) * vocabulary
        return np.arange(len(self.groups) - len(groups), len(self.groups))

    def _rounding_of_written(self, tables: Sequence[Array], errors: Array, total: Array) -> Array:
        """How far rounding to few digits moves what all heads write: [group, dimension].

        Args:
            tables: what they write by what they read: [token, dimension] each.
            errors: how far the sum may be off before: [group, dimension].
            total: its largest absolute value: [group, dimension].
        """
        format, none = self.model.regime.steps, np.zeros((1, errors.shape[1]))
        everything = [np.arange(len(tables[0]))], np.array([len(tables[0])])
        parts = [Part(table, *everything) for table in tables]
        is_number = are_numbers(Sums(parts, Stream.of(Bounded(none, none))), format)
        rounding = (format.unit + 2 * UNIT) * (total + errors) + format.tiny
        return np.minimum(rounding, np.where(is_number, errors, np.inf))

    def behind_heads(self, cases: Cases) -> Sums:
        """The stream of some cases behind the heads that decide what they are."""
        none = np.zeros((len(cases), self.model.config.n_embd))
        x = self.sums(cases, Stream.of(Bounded(none, self.error[cases.groups])))
        return self._added(x, self.model.blocks[0].heads.out.terms > 0)

    def _places(self, cases: Cases) -> list[Part]:
        return []

    def _behind_units(self, layer: int, x: Divided) -> Stream:
        assert isinstance(self.model, Llama)
        return self.model.behind_units(layer, x.normed)

    def logits(self, x: NormedSums) -> Bounded:
        """What is read of the last stream: [case, vocab_size]."""
        found = super().logits(x)
        if not self.model.regime.is_half:
            return found
        return rounded(found.center - found.error, found.center + found.error, self.model.regime.steps)

    def _added(self, x: Sums, where: Flags) -> Sums:
        """The sum as the computed one, rounded in float32 and, where digits are few, once more.

        Sums that are numbers of the format are off by at most four times as much as before, for what is
        within e of such a number is rounded to within 2 e of it, each time. Others move by a unit. What
        may be infinite becomes NaN.
        """
        format = self.model.regime.steps
        rounding = (format.unit + (2 * UNIT if self.model.regime.is_half else 0)) * x.size + format.tiny
        exact = np.where(are_numbers(x, format), 3 * x.error, np.inf)
        rounding = np.where(where, np.minimum(rounding, exact), 0.0)
        known = np.where(x.size + rounding < format.largest / 2, x.known, np.nan)
        stream = replace(x.stream, center=known, error=x.error + rounding, box=x.stream.box + rounding)
        return Sums(x.parts, stream.tight())


def _numbers(x: Bounded) -> Bounded:
    """Queries or keys without what scores have behind their dimensions."""
    return x[..., :-2]
