"""A GPT-2 of which every activation is known up to an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from handcraft_check.errors import CheckError
from handcraft_check.half import (
    for_each_value,
    half_attention,
    half_mlp,
    half_product,
    half_scores,
)
from handcraft_check.layers import (
    Ids,
    Matrix,
    Normed,
    Weights,
    head_output,
    layer_norm,
    mlp,
    softmax,
)
from handcraft_check.regime import IN_FLOAT32, Array, Regime
from handcraft_check.rounding import (
    UNIT,
    Bounded,
    added,
    as_factor,
    product_error,
    rounded,
)

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
    """The tensors of one block; gain and bias of LayerNorm are known up to an error."""

    ln_1: tuple[Bounded, Bounded]
    c_attn: Matrix
    attn_out: Matrix
    ln_2: tuple[Bounded, Bounded]
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

        def take(name: str, *shape: int) -> Bounded:
            if name not in left:
                raise CheckError(f"there is no tensor {name!r}", where="model.safetensors")
            tensor = left.pop(name)
            if tensor.shape != shape:
                raise CheckError(
                    f"{name} has the shape {tensor.shape}, not {shape}", where="model.safetensors"
                )
            found = weights_in_use(tensor, regime)
            if not np.isfinite(found.error).all():
                raise CheckError(
                    f"{name} has a number that is too large for {regime.steps.name}",
                    where="model.safetensors",
                )
            return found

        def norm(name: str) -> tuple[Bounded, Bounded]:
            return take(f"{name}.weight", width), take(f"{name}.bias", width)

        def matrix(name: str, rows: int, columns: int) -> Matrix:
            return matrix_in_use(
                take(f"{name}.weight", rows, columns), take(f"{name}.bias", columns), regime
            )

        self.wte = take("wte.weight", config.vocab_size, width)
        if lm_head is not None and not np.array_equal(lm_head, tensors[f"{prefix}wte.weight"]):
            raise CheckError("lm_head.weight is not wte.weight", where="model.safetensors")
        self.wpe = take("wpe.weight", config.n_positions, width)
        self.blocks = [
            Block(
                norm(f"h.{i}.ln_1"),
                matrix(f"h.{i}.attn.c_attn", width, 3 * width),
                matrix(f"h.{i}.attn.c_proj", width, width),
                norm(f"h.{i}.ln_2"),
                matrix(f"h.{i}.mlp.c_fc", width, config.n_inner),
                matrix(f"h.{i}.mlp.c_proj", config.n_inner, width),
            )
            for i in range(config.n_layer)
        ]
        self.ln_f = norm("ln_f")
        if left:
            raise CheckError(
                f"there is a tensor {min(left)!r}, which GPT-2 has not", where="model.safetensors"
            )
        heads = (config.n_head, width // config.n_head)
        self.write_sizes = [
            block.attn_out.magnitude.max(axis=1).reshape(heads) for block in self.blocks
        ]
        none = np.zeros(config.vocab_size)
        transposed = Bounded(self.wte.center.T.copy(), self.wte.error.T.copy())
        self.unembedding = matrix_in_use(transposed, Bounded(none, none), regime)

    def within(self, regime: Regime) -> Model:
        """The same weights in a regime that differs in how attention is computed."""
        found = copy(self)
        found.regime = regime
        return found

    def embed(self, ids: Ids, position: int) -> Bounded:
        """The embedding of tokens at one position: [row] -> [row, n_embd]."""
        return added(self.wte[ids], self.wpe[[position] * len(ids)], self.regime.steps)

    def _normed(self, x: Bounded, weights: tuple[Bounded, Bounded]) -> Normed:
        gain, bias = weights
        normed = layer_norm(x, gain.center, bias.center, self.config.epsilon)
        return normed.in_use(self.regime, gain.error, bias.error)

    def _read(self, x: Bounded, norm: tuple[Bounded, Bounded], matrix: Matrix) -> Bounded:
        """A matrix product of what a stream is normalized to: [row, n_embd] -> [row, out]."""
        format = self.regime.steps
        if not self.regime.is_half:
            return self._normed(x, norm).read(matrix)[0]

        def compute(some: Bounded) -> Bounded:
            normed = self._normed(some, norm)
            return half_product(Bounded(normed.center, normed.error), matrix, format)

        return for_each_value(x, format, compute)

    def attend_from(self, layer: int, x: Bounded) -> tuple[Bounded, Bounded, Bounded]:
        """Queries, keys and values: [row, n_embd] -> [row, head, head_dim] each."""
        block = self.blocks[layer]
        qkv = self._read(x, block.ln_1, block.c_attn)
        shape = (len(x.center), 3, self.config.n_head, self.config.n_embd // self.config.n_head)
        split = Bounded(qkv.center.reshape(shape), qkv.error.reshape(shape))
        return split[:, 0], split[:, 1], split[:, 2]

    def pair_scores(self, layer: int, queries: Bounded, keys: Bounded) -> Bounded:
        """Attention scores of pairs of a query and a key: [pair, head, head_dim] -> [pair, head]."""
        queries, keys = as_factor(queries, self.regime), as_factor(keys, self.regime)
        width = queries.center.shape[-1]
        factor = 1 / np.sqrt(width) if self.config.scales_scores else 1.0
        factor = factor / (layer + 1) if self.config.scales_by_layer else factor
        center = (queries.center * keys.center).sum(axis=-1)
        key = np.abs(keys.center) + keys.error
        error = (np.abs(queries.center) * keys.error + queries.error * key).sum(axis=-1)
        magnitude = ((np.abs(queries.center) + queries.error) * key).sum(axis=-1)
        error += product_error(magnitude, self._score_terms(layer) + 2)  # the scale may come before
        if self.regime.is_half:
            return half_scores(Bounded(center, error), factor, self.regime)
        return Bounded(center * factor, error * factor + 4 * UNIT * (np.abs(center) + error) * factor)

    def _score_terms(self, layer: int) -> Array:
        """How many dimensions of each head have both queries and keys that are not 0: [head]."""
        matrix, width = self.blocks[layer].c_attn, self.config.n_embd
        is_used = matrix.weight.any(axis=0) | (matrix.bias != 0)
        both = is_used[:width] & is_used[width : 2 * width]
        return np.asarray(both.reshape(self.config.n_head, -1).sum(axis=1), dtype=np.float64)

    def written(self, layer: int, x: Bounded, out: Bounded) -> Bounded:
        """The residual stream behind the attention of one block: [row, n_embd].

        Args:
            layer: the number of the block.
            x: the stream before it: [row, n_embd].
            out: the output of its heads: [row, head, head_dim].
        """
        merged = Bounded(out.center.reshape(len(x.center), -1), out.error.reshape(len(x.center), -1))
        matrix = self.blocks[layer].attn_out
        if self.regime.is_half:
            written = half_product(merged, matrix, self.regime.steps)
            return added(x, written, self.regime.steps)
        merged = as_factor(merged, self.regime)
        center = merged.center @ matrix.weight + matrix.bias
        error = merged.error @ matrix.magnitude
        error += matrix.product_error(np.abs(merged.center) + merged.error)
        return added(x, Bounded(center, error))

    def attention(self, scores: Bounded, values: Bounded) -> tuple[Weights, Bounded]:
        """Weights and output of heads: [..., source], [..., source, head_dim] -> [..., head_dim]."""
        if self.regime.is_half:
            return half_attention(scores, values, self.regime)
        weights = softmax(scores, self.regime)
        return weights, head_output(weights, values, self.regime)

    def run(self, ids: Ids) -> Bounded:
        """The logits behind one text: [position] -> [vocab_size]."""
        rows = [self.embed(ids[i : i + 1], i) for i in range(len(ids))]
        for layer in range(self.config.n_layer):
            read = [self.attend_from(layer, x) for x in rows]
            after = []
            for i, x in enumerate(rows):
                keys, values = (joined([parts[k] for parts in read[: i + 1]]) for k in (1, 2))
                query = joined([read[i][0]] * (i + 1))
                scores = self.pair_scores(layer, query, keys)  # [source, head]
                read_by = Bounded(scores.center.T[None], scores.error.T[None])
                seen = Bounded(values.center.swapaxes(0, 1)[None], values.error.swapaxes(0, 1)[None])
                _, out = self.attention(read_by, seen)
                after.append(self.feed_forward(layer, self.written(layer, x, out)))
            rows = after
        return self.logits(rows[-1])[0]

    def feed_forward(self, layer: int, x: Bounded) -> Bounded:
        """The residual stream behind the MLP of one block: [row, n_embd]."""
        block = self.blocks[layer]
        if self.regime.is_half:
            return for_each_value(
                x, self.regime.steps, lambda some: self._half_feed_forward(block, some)
            )
        normed = self._normed(x, block.ln_2)
        found = mlp(x, normed, block.c_fc, block.mlp_out, self.regime)
        return rounded(found.center - found.error, found.center + found.error)

    def _half_feed_forward(self, block: Block, x: Bounded) -> Bounded:
        normed = self._normed(x, block.ln_2)
        read = Bounded(normed.center, normed.error)
        return added(x, half_mlp(read, block.c_fc, block.mlp_out, self.regime), self.regime.steps)

    def logits(self, x: Bounded) -> Bounded:
        """[row, n_embd] -> [row, vocab_size]."""
        return self._read(x, self.ln_f, self.unembedding)


def weights_in_use(tensor: Array, regime: Regime) -> Bounded:
    """The weights that a model computes with: rounded to the regime's steps, in which it is loaded.

    Those that may be off by the radius are rounded too, and rounding is monotone. Infinite numbers have
    an error that is not finite.
    """
    found, reach = regime.steps.nearest(tensor), regime.radius * np.abs(tensor)
    ends = (regime.steps.nearest(tensor + sign * reach) for sign in (-1, 1))
    with np.errstate(invalid="ignore"):
        low, high = (np.abs(end - found) for end in ends)
    return Bounded(found, np.maximum(low, high))


def matrix_in_use(weight: Bounded, bias: Bounded, regime: Regime) -> Matrix:
    """A matrix, and how far what a product uses may be from it: as its factor, and by the radius."""
    used = as_factor(weight, regime)
    apart = np.abs(used.center - weight.center) + used.error
    return Matrix(
        weight.center,
        bias.center,
        apart if apart.any() else None,
        bias.error if bias.error.any() else None,
    )


def joined(parts: Sequence[Bounded]) -> Bounded:
    """The rows of all parts, one below the other."""
    return Bounded(np.concatenate([p.center for p in parts]), np.concatenate([p.error for p in parts]))
