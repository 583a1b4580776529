"""A GPT-2, or another model made of its parts, of which every activation is known up to an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np

from handcraft_check.arithmetic.regime import IN_FLOAT32, Array, Regime
from handcraft_check.arithmetic.rounding import (
    Bounded,
    added,
    as_factor,
    product_error,
    rounded,
)
from handcraft_check.arithmetic.stream import Along, Stream
from handcraft_check.by_windows.sums import NormedSums, Sums, layer_norm_of_sums, sums_not_normed
from handcraft_check.folder.config import Config
from handcraft_check.layers.attention import Weights as Attention
from handcraft_check.layers.attention import head_output, softmax
from handcraft_check.layers.blocks import Block, stacked
from handcraft_check.layers.differences import Differences
from handcraft_check.layers.half import (
    for_each_value,
    half_attention,
    half_mlp,
    half_product,
    half_scores,
)
from handcraft_check.layers.hidden_units import ACTIVATIONS, Activation, mlp
from handcraft_check.layers.layer_norm import Normed, layer_norm, not_normed
from handcraft_check.layers.matrix import Ids, Matrix
from handcraft_check.layers.scores import scaled
from handcraft_check.layers.weights import Weights

BLURRED = 2.0**-4
"""Scores with larger errors are looked at again, up to what all scores of a query have in common."""


class Model:
    """The tensors of a GPT-2 and, of every layer, what it makes of rows known up to an error.

    Args:
        config: its sizes.
        tensors: as the file has them; they are rounded to the steps of the regime.
        regime: in which it runs.
        is_exact: whether bounds are computed in `Exact` numbers in place of float64.

    Raises:
        CheckError: a tensor is missing or has another shape, or a number is too large for the regime.
    """

    def __init__(
        self,
        config: Config,
        tensors: Mapping[str, Array],
        regime: Regime = IN_FLOAT32,
        *,
        is_exact: bool = False,
    ) -> None:
        self.config, self.regime = config, regime
        weights = self.read_weights(config, tensors, regime, is_exact=is_exact)
        self.wte, self.wpe, self.blocks = weights.wte, weights.wpe, weights.blocks
        self.ln_f, self.unembedding = weights.ln_f, weights.unembedding
        self.no_directions = Along(np.zeros((0, config.n_embd)))
        self.times: Array | None = None  # for how many dimensions each stands

    def read_weights(
        self, config: Config, tensors: Mapping[str, Array], regime: Regime, *, is_exact: bool
    ) -> Weights:
        """All of them."""
        return Weights.read(config, tensors, regime, is_exact=is_exact)

    @property
    def begun(self) -> list[tuple[Bounded, Bounded]]:
        """Keys and values, in each layer, of what is in front of every text; empty for nothing."""
        return []

    @property
    def activation(self) -> Activation:
        """Of hidden units."""
        return ACTIVATIONS[self.config.activation]

    def normed_sums(self, x: Sums, weights: tuple[Bounded, Bounded]) -> NormedSums:
        """Sums behind LayerNorm, where there is one; its weights are known exactly."""
        if not self.config.has_norm:
            return sums_not_normed(x)
        gain, bias = (each.center for each in weights)
        return layer_norm_of_sums(x, gain, bias, self.config.epsilon, self.times)

    def within(self, regime: Regime) -> Model:
        """The same weights in a regime that differs in how attention is computed."""
        found = copy(self)
        found.regime = regime
        return found

    def embed(self, ids: Ids, position: int | Ids) -> Stream:
        """The embedding of tokens at one position, or each at its own: [row] -> [row, n_embd]."""
        found = added(self.wte[ids], self.wpe[np.full(len(ids), position)], self.regime.steps)
        return self._apart(found)

    def _apart(self, x: Bounded) -> Stream:
        """A stream whose errors have nothing in common."""
        none = np.zeros((len(x.center), 0))
        return Stream(x.center, x.error, x.error, none, self.no_directions)

    def _normed(self, x: Stream, weights: tuple[Bounded, Bounded]) -> Normed:
        gain, bias = weights
        if not self.config.has_norm:
            return not_normed(x).in_use(self.regime, gain.error, bias.error)
        normed = layer_norm(x, gain.center, bias.center, self.config.epsilon)
        return normed.in_use(self.regime, gain.error, bias.error)

    def read(self, x: Stream, norm: tuple[Bounded, Bounded], *matrices: Matrix) -> list[Bounded]:
        """Products of what a stream is normalized to: [row, n_embd] -> [row, out] each."""
        if not self.regime.is_half:
            normed = self._normed(x, norm)
            return [normed.read(matrix)[0] for matrix in matrices]

        def products(read: Bounded) -> Bounded:
            found = [half_product(read, matrix, format) for matrix in matrices]
            return Bounded(*(np.concatenate(each, axis=1) for each in _columns(found)))

        def compute(some: Bounded) -> Bounded:
            normed = self._normed(self._apart(some), norm)
            read = Bounded(normed.center, normed.error)
            return for_each_value(read, format, weight, products)

        format, gain = self.regime.steps, np.abs(norm[0].center)
        weight = np.max([matrix.magnitude.max(axis=1, initial=0.0) for matrix in matrices], axis=0)
        found = for_each_value(Bounded(x.center, x.error), format, gain * weight, compute)
        ends = np.cumsum([0, *(len(matrix.bias) for matrix in matrices)]).tolist()
        return [found[:, start:stop] for start, stop in pairwise(ends)]

    def attend_from(
        self, layer: int, x: Stream, position: int | Ids = 0, anywhere: Ids | None = None
    ) -> tuple[Bounded, Bounded, Bounded]:
        """Queries, keys and values: [row, n_embd] -> [row, head, dimension] each.

        They do not depend on the position but through the stream, nor keys on where they may be, in
        `anywhere`. Queries and keys have two numbers more, for what their errors have in common.
        """
        block, heads = self.blocks[layer], self.blocks[layer].heads
        if self.regime.is_half or self.regime.factors is not None:
            matching, values = self.read(x, block.ln_1, heads.matching, heads.moving)
            queries, keys = block.matching.boxes(matching)
        else:
            normed = self._normed(x, block.ln_1)
            queries, keys = block.matching.read(normed)
            values = normed.read(heads.moving)[0]
        if not heads.matched:  # all scores are 0
            queries, keys = (Bounded(x.center, np.zeros_like(x.center)) for x in (queries, keys))
        shape = (len(x.center), heads.count, heads.moved)
        return queries, keys, Bounded(values.center.reshape(shape), values.error.reshape(shape))

    def pair_scores(
        self,
        layer: int,
        queries: Bounded,
        keys: Bounded,
        around: Array | None = None,
        head: int | slice = slice(None),
    ) -> Bounded:
        """Attention scores of pairs of a query and a key: [pair, head, dimension + 2] -> [pair, head].

        Args:
            layer: the number of the block.
            queries: [pair, head, dimension + 2]; of a single head, any shape without `head`.
            keys: the same.
            around: what scores are close to, of which softmax reads only differences
                (`Matching.dot`): [pair, head, dimension + 2].
            head: which heads these are.
        """
        queries, keys = as_factor(queries, self.regime), as_factor(keys, self.regime)
        factor = self.score_scale(layer)
        around = None if self.regime.is_half else around
        dot, largest = self.blocks[layer].matching.dot(queries, keys, head, around)
        if self.regime.is_half:
            return half_scores(dot, factor, self.regime)
        return scaled(dot, largest, factor)

    def all_scores(self, layer: int, queries: Bounded, keys: Bounded) -> Bounded:
        """The scores of all destinations and sources.

        Args:
            layer: the number of the block.
            queries: [destination, head, dimension].
            keys: [source, head, dimension].

        Returns:
            [head, destination, source].
        """
        query, query_error = (each.swapaxes(0, 1) for each in (queries.center, queries.error))
        key, key_error = (each.transpose(1, 2, 0) for each in (keys.center, keys.error))
        center, most = query @ key, np.abs(key) + key_error
        error = np.abs(query) @ key_error + query_error @ most
        terms = self.blocks[layer].heads.terms[:, None, None] + 2
        error += product_error((np.abs(query) + query_error) @ most, terms)
        dot, factor = Bounded(center, error), self.score_scale(layer)
        if self.regime.is_half:
            return half_scores(dot, factor, self.regime)
        return scaled(dot, np.abs(center) + error, factor)

    def score_scale(self, layer: int) -> float:
        """What products of queries and keys are multiplied by."""
        factor = float(1 / np.sqrt(self.config.head_width)) if self.config.scales_scores else 1.0
        return factor / (layer + 1) if self.config.scales_by_layer else factor

    def written(self, layer: int, x: Stream, out: Bounded) -> Stream:
        """The residual stream behind the attention of one block: [row, n_embd].

        What a head output is off by is one error along its row of the matrix.

        Args:
            layer: the number of the block.
            x: the stream before it: [row, n_embd].
            out: the output of its heads: [row, head, dimension].
        """
        heads = self.blocks[layer].heads
        if not heads.count:
            x = self._if_finite(layer, x)
            if not heads.out.terms.any():  # nothing is added
                return x
        merged = Bounded(out.center.reshape(len(x.center), -1), out.error.reshape(len(x.center), -1))
        matrix, before = heads.out, Bounded(x.center, x.error)
        if self.regime.is_half:
            half = half_product(merged, matrix, self.regime.steps)
            return self._apart(added(before, half, self.regime.steps))
        merged = as_factor(merged, self.regime)
        summing = matrix.product_error(np.abs(merged.center) + merged.error)
        written = Bounded(
            merged.center @ matrix.weight + matrix.bias, merged.error @ matrix.magnitude + summing
        )
        alone, along = matrix.directions.split(merged.error)
        total = Stream(
            x.center + written.center,
            x.error + written.error,
            x.box + alone + summing,
            np.concatenate([x.radii, along], axis=1),
            x.along.and_of(matrix.directions),
        )
        return total.rounded_to(added(before, written), matrix.terms > 0)

    def _if_finite(self, layer: int, x: Stream) -> Stream:
        """The stream, but NaN where LayerNorm in front of heads that are 0 may not be finite.

        Its squares stay below `LARGEST` where numbers stay below 2^40, and its output below the square
        root of its width times its gain.
        """
        gain, bias = ((np.abs(w.center) + w.error).max() for w in self.blocks[layer].ln_1)
        is_finite = (np.abs(x.center) + x.error).max(axis=1) < 2.0**40
        is_finite &= 2 * (np.sqrt(self.config.n_embd) * gain + bias) < self.regime.steps.largest / 2
        return replace(x, center=np.where(is_finite[:, None], x.center, np.nan))

    def attention(self, scores: Bounded, values: Bounded) -> tuple[Attention, Bounded]:
        """Weights and output of heads: [..., source], [..., source, head_dim] -> [..., head_dim]."""
        if self.regime.is_half:
            return half_attention(scores, values, self.regime)
        weights = softmax(scores, self.regime)
        return weights, head_output(weights, values, self.regime)

    def run(self, ids: Ids) -> Bounded:
        """The logits behind one text: [position] -> [vocab_size]."""
        return self.logits(self.last(ids))[0]

    def last(self, ids: Ids) -> Stream:
        """The last residual stream behind one text: [position] -> [1, n_embd]."""
        rows = [self.embed(ids[i : i + 1], i) for i in range(len(ids))]
        for layer in range(self.config.n_layer):
            read = [self.attend_from(layer, x, i) for i, x in enumerate(rows)]
            before = self.begun[layer : layer + 1]
            after = []
            for i, x in enumerate(rows):
                first = max(0, i + 1 + len(before) - (self.config.window or i + 2))
                sources = [*before, *(parts[1:] for parts in read[: i + 1])][first:]
                keys, values = (stacked([parts[k] for parts in sources]) for k in (0, 1))
                out = self.read_by(layer, read[i][0], keys, values)
                after.append(self.feed_forward(layer, self.written(layer, x, out)))
            rows = after
        return rows[-1]

    def read_by(self, layer: int, query: Bounded, keys: Bounded, values: Bounded) -> Bounded:
        """What heads read at one position: [1, head, dimension], [source, ...] -> [1, ...]."""
        return self.read_of(layer, query, keys, values)[2]

    def read_of(
        self, layer: int, query: Bounded, keys: Bounded, values: Bounded
    ) -> tuple[Bounded, Attention, Bounded]:
        """Attention scores, weights and output of heads at one position.

        Returns:
            Scores and weights, [1, head, source] each, and the output, [1, head, dimension].
        """
        query = stacked([query] * len(keys.center))
        scores = self.pair_scores(layer, query, keys)  # [source, head]
        if scores.error.max(initial=0.0) > BLURRED:
            best = scores.center.argmax(axis=0), np.arange(scores.center.shape[1])
            scores = self.pair_scores(layer, query, keys, keys.center[best][None])
        read_by = Bounded(scores.center.T[None], scores.error.T[None])
        seen = Bounded(values.center.swapaxes(0, 1)[None], values.error.swapaxes(0, 1)[None])
        return read_by, *self.attention(read_by, seen)

    def feed_forward(self, layer: int, x: Stream) -> Stream:
        """The residual stream behind the MLP of one block: [row, n_embd]."""
        block = self.blocks[layer]
        if self.regime.is_half:
            return self._apart(self._half_feed_forward(block, Bounded(x.center, x.error)))
        normed = self._normed(x, block.ln_2)
        found = mlp(normed, block.c_fc, block.mlp_out, self.regime, self.activation)
        wide = rounded(found.center - found.error, found.center + found.error)
        return found.rounded_to(wide, block.mlp_out.terms > 0)

    def _half_feed_forward(self, block: Block, x: Bounded) -> Bounded:
        format, weight = self.regime.steps, block.c_fc.magnitude.max(axis=1)

        def written(read: Bounded) -> Bounded:
            return half_mlp(read, block.c_fc, block.mlp_out, self.regime)

        def compute(some: Bounded) -> Bounded:
            normed = self._normed(self._apart(some), block.ln_2)
            read = Bounded(normed.center, normed.error)
            return added(some, for_each_value(read, format, weight, written), format)

        return for_each_value(x, format, np.abs(block.ln_2[0].center) * weight, compute)

    def logits(self, x: Stream) -> Bounded:
        """[row, n_embd] -> [row, vocab_size]."""
        return self.read(x, self.ln_f, self.unembedding)[0]

    def margins(self, x: Stream, logits: Bounded, ids: Ids) -> Array:
        """How far one logit of each row surely is above all others: [row].

        Args:
            x: the last stream: [row, n_embd].
            logits: what is known of it, each on its own: [row, vocab_size].
            ids: whose logit: [row].
        """
        return self._differences.margins(self._last_normed(x), logits, ids)

    def difference(self, x: Stream, logits: Bounded, token: int) -> Bounded:
        """One logit of each row less each logit: [row, vocab_size].

        Args:
            x: the last stream: [row, n_embd].
            logits: what is known of it, each on its own: [row, vocab_size].
            token: the id of the one.
        """
        return self._differences.of_one(self._last_normed(x), logits, token)

    def difference_read(self, x: NormedSums, token: int) -> Bounded:
        """One logit of each row less each logit, of rows of which alternatives are known.

        Args:
            x: the last stream, normalized: [row, n_embd].
            token: the id of the one.
        """
        return self._differences.of_sums(x, token)

    @property
    def _differences(self) -> Differences:
        return Differences(self.unembedding)

    def _last_normed(self, x: Stream) -> Callable[[Ids], Normed] | None:
        """What the unembedding reads of some rows; None where every step is rounded."""
        return None if self.regime.is_half else lambda rows: self._normed(x[rows], self.ln_f)


def _columns(parts: Sequence[Bounded]) -> tuple[list[Array], list[Array]]:
    return [part.center for part in parts], [part.error for part in parts]
