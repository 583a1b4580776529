"""A GPT-2 of which every activation is known up to an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from handcraft_check.errors import CheckError
from handcraft_check.layers import (
    Ids,
    Matrix,
    Normed,
    Weights,
    half_mlp,
    head_output,
    layer_norm,
    mlp,
    softmax,
)
from handcraft_check.regime import IN_FLOAT32, Array, Regime
from handcraft_check.rounding import (
    FLOAT64_SLACK,
    UNIT,
    Bounded,
    added,
    as_factor,
    between,
    product_error,
    rounded,
    rounded_ends,
    stepped,
)
from handcraft_check.stream import Along, Stream
from handcraft_check.zeros import Heads, units_in_use

KEYS = {
    "activation_function",
    "add_cross_attention",
    "architectures",
    "attn_pdrop",
    "bos_token_id",
    "dtype",
    "embd_pdrop",
    "eos_token_id",
    "initializer_range",
    "layer_norm_epsilon",
    "model_type",
    "n_ctx",
    "n_embd",
    "n_head",
    "n_inner",
    "n_layer",
    "n_positions",
    "pad_token_id",
    "reorder_and_upcast_attn",
    "resid_pdrop",
    "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "vocab_size",
}
"""The keys of config.json that are read, or change no logit. transformers knows others that would, such
as a second name for n_layer."""

BLURRED = 2.0**-4
"""Scores with larger errors are looked at again, up to what all scores of a query have in common."""

CLOSE = 0.98
"""A margin that is known to be less of its center is looked at again."""

PAIRED_UP_TO = 128
"""The largest vocabulary of which all differences of two logits are bounded."""


@dataclass(frozen=True)
class Config:
    """What config.json says of the sizes and the arithmetic."""

    n_layer: int
    n_head: int
    n_embd: int
    n_inner: int
    n_positions: int
    vocab_size: int
    epsilon: float
    scales_scores: bool
    scales_by_layer: bool

    @classmethod
    def read(cls, data: Any, where: str) -> Config:
        """The sizes of a config of Hugging Face's GPT2LMHeadModel.

        Raises:
            CheckError: a key is missing or has no sense, or the model computes what is not GPT-2.
        """
        if not isinstance(data, dict):
            raise CheckError("it is not an object", where=where)

        def whole(key: str, default: int | None = None) -> int:
            value = data.get(key, default)
            value = default if value is None else value
            if type(value) is not int or not 0 < value <= 1 << 24:
                raise CheckError(f"{key} is {value!r}, not a whole number above 0", where=where)
            return value

        def flag(key: str, *, default: bool) -> bool:
            value = data.get(key, default)
            if not isinstance(value, bool):
                raise CheckError(f"{key} is {value!r}, not true or false", where=where)
            return value

        unknown = sorted(data.keys() - KEYS)
        if unknown:
            raise CheckError(f"the checker does not know the key {unknown[0]!r}", where=where)
        known = {"model_type": "gpt2", "activation_function": "gelu_new"}
        for key, expected in known.items():
            if data.get(key, expected if key != "model_type" else None) != expected:
                raise CheckError(
                    f"{key} is {data.get(key)!r}; the checker knows {expected!r}", where=where
                )
        if flag("reorder_and_upcast_attn", default=False) or flag("add_cross_attention", default=False):
            raise CheckError("it attends in a way that the checker does not know", where=where)
        if not flag("tie_word_embeddings", default=True):
            raise CheckError("its unembedding is not tied", where=where)
        epsilon = data.get("layer_norm_epsilon", 1e-5)
        if not isinstance(epsilon, float) or not 1e-12 <= epsilon < 1:
            raise CheckError(f"layer_norm_epsilon is {epsilon!r}", where=where)
        width = whole("n_embd")
        found = cls(
            whole("n_layer"),
            whole("n_head"),
            width,
            whole("n_inner", 4 * width),
            whole("n_positions"),
            whole("vocab_size"),
            float(np.float32(epsilon)),
            flag("scale_attn_weights", default=True),
            flag("scale_attn_by_inverse_layer_idx", default=False),
        )
        if width % found.n_head:
            raise CheckError(f"n_embd={width} is no multiple of n_head={found.n_head}", where=where)
        return found


@dataclass(frozen=True, eq=False)
class Block:
    """The tensors of one block, without what is exactly 0."""

    ln_1: tuple[Array, Array]
    heads: Heads
    ln_2: tuple[Array, Array]
    c_fc: Matrix
    mlp_out: Matrix


class Model:
    """The tensors of a GPT-2 and, of every layer, what it makes of rows known up to an error.

    Args:
        config: its sizes.
        tensors: as the file has them; they are rounded to the steps of the regime.
        regime: in which it runs.

    Raises:
        CheckError: a tensor is missing or has another shape, or a number is too large for the regime.
    """

    def __init__(
        self, config: Config, tensors: Mapping[str, Array], regime: Regime = IN_FLOAT32
    ) -> None:
        self.config, self.regime = config, regime
        prefix = "transformer." if "transformer.wte.weight" in tensors else ""
        left = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        if len(left) < len(tensors):
            raise CheckError("a tensor is there with a prefix and without", where="model.safetensors")
        lm_head = left.pop("lm_head.weight", None)
        width = config.n_embd

        def take(name: str, *shape: int) -> Array:
            if name not in left:
                raise CheckError(f"there is no tensor {name!r}", where="model.safetensors")
            tensor = left.pop(name)
            if tensor.shape != shape:
                raise CheckError(
                    f"{name} has the shape {tensor.shape}, not {shape}", where="model.safetensors"
                )
            found = regime.steps.nearest(tensor)
            if not np.isfinite(found).all():
                raise CheckError(
                    f"{name} has a number that is too large for {regime.steps.name}",
                    where="model.safetensors",
                )
            return found

        def norm(name: str) -> tuple[Array, Array]:
            return take(f"{name}.weight", width), take(f"{name}.bias", width)

        def matrix(name: str, rows: int, columns: int) -> Matrix:
            return matrix_in_use(
                take(f"{name}.weight", rows, columns), take(f"{name}.bias", columns), regime
            )

        self.wte = take("wte.weight", config.vocab_size, width)
        if lm_head is not None and not np.array_equal(regime.steps.nearest(lm_head), self.wte):
            raise CheckError("lm_head.weight is not wte.weight", where="model.safetensors")
        self.wpe = take("wpe.weight", config.n_positions, width)
        self.blocks = [
            Block(
                norm(f"h.{i}.ln_1"),
                Heads.of(
                    matrix(f"h.{i}.attn.c_attn", width, 3 * width),
                    matrix(f"h.{i}.attn.c_proj", width, width),
                    config.n_head,
                ),
                norm(f"h.{i}.ln_2"),
                *units_in_use(
                    matrix(f"h.{i}.mlp.c_fc", width, config.n_inner),
                    matrix(f"h.{i}.mlp.c_proj", config.n_inner, width),
                ),
            )
            for i in range(config.n_layer)
        ]
        self.ln_f = norm("ln_f")
        if left:
            raise CheckError(
                f"there is a tensor {min(left)!r}, which GPT-2 has not", where="model.safetensors"
            )
        self.no_directions = Along(np.zeros((0, width)))
        self.unembedding = matrix_in_use(self.wte.T.copy(), np.zeros(config.vocab_size), regime)

    def embed(self, ids: Ids, position: int) -> Stream:
        """The embedding of tokens at one position: [row] -> [row, n_embd]."""
        token, place = (
            self.wte[ids],
            np.broadcast_to(self.wpe[position], (len(ids), self.config.n_embd)),
        )
        radius = self.regime.radius
        first, second = (Bounded(part, radius * np.abs(part)) for part in (token, place))
        return self._apart(added(first, second, self.regime.steps))

    def _apart(self, x: Bounded) -> Stream:
        """A stream whose errors have nothing in common."""
        none = np.zeros((len(x.center), 0))
        return Stream(x.center, x.error, x.error, none, self.no_directions)

    def _normed(self, x: Stream, weights: tuple[Array, Array]) -> Normed:
        return layer_norm(x, *weights, self.config.epsilon).in_use(self.regime)

    def attend_from(self, layer: int, x: Stream) -> tuple[Bounded, Bounded, Bounded]:
        """Queries, keys and values: [row, n_embd] -> [row, head, dimension] each."""
        block, heads = self.blocks[layer], self.blocks[layer].heads
        qkv = stepped(self._normed(x, block.ln_1).read(heads.read)[0], self.regime)
        widths = (heads.matched, heads.matched, heads.moved)
        ends = np.cumsum([0, *(heads.count * width for width in widths)])

        def part(number: int) -> Bounded:
            columns = slice(ends[number], ends[number + 1])
            shape = (len(x.center), heads.count, widths[number])
            return Bounded(qkv.center[:, columns].reshape(shape), qkv.error[:, columns].reshape(shape))

        return part(0), part(1), part(2)

    def pair_scores(
        self,
        layer: int,
        queries: Bounded,
        keys: Bounded,
        around: Array | None = None,
        head: int | slice = slice(None),
    ) -> Bounded:
        """Attention scores of pairs of a query and a key: [pair, head, dimension] -> [pair, head].

        They stay in float32 (sdpa), or are rounded before they are scaled and behind (eager). A score
        of minus infinity has the weight 0, and so has twice the lowest number, which stands for it.

        An error e of a query adds e k to the score of a key k. Softmax does not change where the same
        number is taken from all scores of a query. So e c may be, for any c, and e (k - c) is left,
        which is small for the keys that matter if c is one of them.

        Args:
            layer: the number of the block.
            queries: [pair, head, dimension]; of a single head, they may have any shape without `head`.
            keys: [pair, head, dimension].
            around: c, the same for all keys of a query, for scores that are known up to a number which
                they have in common: [pair, head, dimension].
            head: which heads these are.
        """
        queries, keys = as_factor(queries, self.regime), as_factor(keys, self.regime)
        width = self.config.n_embd // self.config.n_head
        factor = 1 / np.sqrt(width) if self.config.scales_scores else 1.0
        factor = factor / (layer + 1) if self.config.scales_by_layer else factor
        center = (queries.center * keys.center).sum(axis=-1)
        query, key = np.abs(queries.center) + queries.error, np.abs(keys.center) + keys.error
        of_keys = (query * keys.error).sum(axis=-1)
        of_query = (queries.error * np.abs(keys.center)).sum(axis=-1)
        magnitude = (query * key).sum(axis=-1)
        terms = self.blocks[layer].heads.terms[head] + 2  # the scale may come before
        of_sum = product_error(magnitude, terms)
        error = of_keys + of_query + of_sum
        of_scale = 4 * UNIT * (np.abs(center) + error) * factor
        if around is not None and not self.regime.is_half:
            of_query = (queries.error * np.abs(keys.center - around)).sum(axis=-1)
            of_query += FLOAT64_SLACK * magnitude
            return Bounded(center * factor, (of_keys + of_query + of_sum) * factor + of_scale)
        found = Bounded(center * factor, error * factor + of_scale)
        if not self.regime.is_half:
            return found
        low, high = rounded_ends(center - error, center + error, self.regime.steps)
        slack = 4 * UNIT * np.maximum(np.abs(low), np.abs(high)) * factor
        low, high = rounded_ends(low * factor - slack, high * factor + slack, self.regime.steps)
        low = np.where(low == -np.inf, -2 * self.regime.steps.largest, low)
        high = np.where(high == -np.inf, -2 * self.regime.steps.largest, high)
        low, high = (
            np.minimum(low, found.center - found.error),
            np.maximum(high, found.center + found.error),
        )
        with np.errstate(invalid="ignore"):
            return between(low, high)

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
        matrix = heads.out
        merged = as_factor(merged, self.regime)
        summing = matrix.product_error(np.abs(merged.center) + merged.error)
        written = Bounded(
            merged.center @ matrix.weight + matrix.bias, merged.error @ matrix.magnitude + summing
        )
        before = Bounded(x.center, x.error)
        if self.regime.is_half:
            return self._apart(added(before, stepped(written, self.regime), self.regime.steps))
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
        gain, bias = (np.abs(each).max() for each in self.blocks[layer].ln_1)
        is_finite = (np.abs(x.center) + x.error).max(axis=1) < 2.0**40
        is_finite &= 2 * (np.sqrt(self.config.n_embd) * gain + bias) < self.regime.steps.largest / 2
        return replace(x, center=np.where(is_finite[:, None], x.center, np.nan))

    def attention(self, scores: Bounded, values: Bounded) -> tuple[Weights, Bounded]:
        """Weights and output of heads: [..., source], [..., source, head_dim] -> [..., head_dim]."""
        weights = softmax(scores, self.regime)
        return weights, head_output(weights, values, self.regime)

    def run(self, ids: Ids) -> Bounded:
        """The logits behind one text: [position] -> [vocab_size]."""
        rows = [self.embed(ids[i : i + 1], i) for i in range(len(ids))]
        for layer in range(self.config.n_layer):
            read = [self.attend_from(layer, x) for x in rows]
            after = []
            for i, x in enumerate(rows):
                keys, values = (stacked([parts[k] for parts in read[: i + 1]]) for k in (1, 2))
                query = stacked([read[i][0]] * (i + 1))
                scores = self.pair_scores(layer, query, keys)  # [source, head]
                if scores.error.max(initial=0.0) > BLURRED:
                    best = scores.center.argmax(axis=0), np.arange(scores.center.shape[1])
                    scores = self.pair_scores(layer, query, keys, keys.center[best][None])
                read_by = Bounded(scores.center.T[None], scores.error.T[None])
                seen = Bounded(values.center.swapaxes(0, 1)[None], values.error.swapaxes(0, 1)[None])
                _, out = self.attention(read_by, seen)
                after.append(self.feed_forward(layer, self.written(layer, x, out)))
            rows = after
        return self.logits(rows[-1])[0]

    def feed_forward(self, layer: int, x: Stream) -> Stream:
        """The residual stream behind the MLP of one block: [row, n_embd]."""
        block = self.blocks[layer]
        normed = self._normed(x, block.ln_2)
        if self.regime.is_half:
            out = half_mlp(normed, block.c_fc, block.mlp_out, self.regime)
            return self._apart(added(Bounded(x.center, x.error), out, self.regime.steps))
        found = mlp(normed, block.c_fc, block.mlp_out, self.regime)
        wide = rounded(found.center - found.error, found.center + found.error)
        return found.rounded_to(wide, block.mlp_out.terms > 0)

    def logits(self, x: Stream) -> Bounded:
        """[row, n_embd] -> [row, vocab_size]."""
        return stepped(self._normed(x, self.ln_f).read(self.unembedding)[0], self.regime)

    def margins(self, x: Stream, logits: Bounded, ids: Ids) -> Array:
        """How far one logit of each row surely is above all others: [row].

        Both logits read one stream, so that an error of it acts on what their weights differ by. Where
        that may matter, the difference of both is bounded, with the rounding of both sums.

        Args:
            x: the last stream: [row, n_embd].
            logits: what is known of it, each on its own: [row, vocab_size].
            ids: whose logit: [row].
        """
        rows = np.arange(len(ids))
        found = logits.center[rows, ids][:, None] - logits.center
        apart = found - logits.error[rows, ids][:, None] - logits.error
        for each in (found, apart):
            each[rows, ids] = np.inf
        least: Array = apart.min(axis=1)
        is_far = least < CLOSE * found.min(axis=1)
        if self.regime.is_half or logits.center.shape[1] > PAIRED_UP_TO:
            return least
        for token in np.unique(ids[is_far]).tolist():
            some = np.flatnonzero(is_far & (ids == token))
            normed = self._normed(x[some], self.ln_f)
            spread = normed.spread(
                self._differences[token].weight, self._differences[token].readers(normed)
            )
            rounding = self.unembedding.product_error(normed.magnitude)
            both = found[some] - spread - rounding - rounding[:, token, None]
            least[some] = np.maximum(apart[some], both).min(axis=1)
        return least

    @cached_property
    def _differences(self) -> list[Matrix]:
        """For each token, its unembedding minus that of each token."""
        none = np.zeros(self.config.vocab_size)
        return [Matrix(self.wte[token][:, None] - self.wte.T, none) for token in range(len(none))]


def matrix_in_use(weight: Array, bias: Array, regime: Regime) -> Matrix:
    """A matrix, and how far what a product uses may be from it: by the radius, and as its factor."""
    if regime.factors is None and not regime.radius:
        return Matrix(weight, bias)
    radius = regime.radius * np.abs(weight)
    used = as_factor(Bounded(weight, radius), regime)
    apart = np.abs(used.center - weight) + used.error
    return Matrix(weight, bias, apart, regime.radius * np.abs(bias) if regime.radius else None)


def stacked(parts: Sequence[Bounded]) -> Bounded:
    """The rows of all parts, one below the other."""
    return Bounded(np.concatenate([p.center for p in parts]), np.concatenate([p.error for p in parts]))
