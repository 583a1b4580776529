"""The sizes of a model, as config.json has them or a certificate of another architecture."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from handcraft_check.errors import CheckError
from handcraft_check.program.nodes import fields, items

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

DTYPES = ("dtype", "torch_dtype")
"""The keys of config.json for the dtype in which transformers loads a folder, whatever is stored."""


ARCHITECTURE = (
    "norm",
    "norm_epsilon",
    "activation",
    "scales_scores",
    "scales_by_layer",
    "n_head",
    "n_embd",
    "n_inner",
    "n_positions",
    "n_vocab",
)
"""What a certificate says of an architecture."""

KNOWN = {"norm": ("none", "layer"), "activation": ("relu", "gelu_tanh")}

SIZES_UP_TO = 1 << 24


@dataclass(frozen=True)
class Config:
    """The sizes and the arithmetic of a model.

    Args:
        n_layer: blocks.
        n_head: heads of each block.
        n_embd: the width of the residual stream.
        n_inner: hidden units of each block; of the largest where `inner` is given.
        n_positions: positions.
        vocab_size: logits.
        epsilon: what LayerNorm adds to the variance.
        scales_scores: whether scores are divided by the square root of the width of a head.
        scales_by_layer: whether they are divided by the number of the block, from 1, besides.
        has_norm: whether there is LayerNorm in front of attention, MLP and unembedding.
        activation: of hidden units, "gelu_new" or "relu"; in a Llama, "silu" gates a second sum.
        inner: the hidden units of each block, 0 where it has none; empty where all have as many.
        theta: the base of the frequencies by which a Llama rotates queries and keys; None for a model
            that embeds positions.
        kv_heads: how many heads of a Llama have keys and values of their own.
        head_dim: the width of a head of a Llama.
        window: how many positions a position sees, itself among them; None for all before it.
        begin: the id of the token in front of every text; None where there is none.
        is_tied: whether the unembedding is the embedding.
    """

    n_layer: int
    n_head: int
    n_embd: int
    n_inner: int
    n_positions: int
    vocab_size: int
    epsilon: float
    scales_scores: bool
    scales_by_layer: bool
    has_norm: bool = True
    activation: str = "gelu_new"
    inner: tuple[int, ...] = ()
    theta: float | None = None
    kv_heads: int = 0
    head_dim: int = 0
    window: int | None = None
    begin: int | None = None
    is_tied: bool = True

    @property
    def is_rotary(self) -> bool:
        """Whether it is a Llama: queries and keys are rotated, and a norm subtracts no mean."""
        return self.theta is not None

    @property
    def head_width(self) -> int:
        """The width of one head."""
        return self.head_dim or self.n_embd // self.n_head

    @property
    def lead(self) -> int:
        """How many tokens are in front of every text."""
        return int(self.begin is not None)

    @property
    def longest(self) -> int:
        """The most tokens of a text."""
        return self.n_positions - self.lead

    def hides(self, length: int) -> bool:
        """Whether some position of a text of so many tokens does not see all before it."""
        return self.window is not None and self.window < length + self.lead

    def units(self, layer: int) -> int:
        """The hidden units of one block."""
        return self.inner[layer] if self.inner else self.n_inner

    @classmethod
    def read(cls, data: Any, where: str) -> Config:
        """The sizes of a config of Hugging Face's GPT2LMHeadModel.

        Raises:
            CheckError: a key is missing or has no sense, or the model computes what is not GPT-2.
        """
        if not isinstance(data, dict):
            raise CheckError("it is not an object", where=where)

        whole, flag = partial(whole_number, data, where), partial(true_or_false, data, where)
        check_keys(data, KEYS, where)
        if data.get("model_type") != "gpt2":
            raise CheckError(
                f"model_type is {data.get('model_type')!r}; the checker knows gpt2, llama and mistral",
                where=where,
            )
        check_class(data, "GPT2LMHeadModel", where)
        check_values(data, {"activation_function": "gelu_new"}, where)
        if flag("reorder_and_upcast_attn", default=False) or flag("add_cross_attention", default=False):
            raise CheckError("it attends in a way that the checker does not know", where=where)
        epsilon = epsilon_of(data, "layer_norm_epsilon", 1e-5, where)
        width = whole("n_embd")
        found = cls(
            whole("n_layer"),
            whole("n_head"),
            width,
            whole("n_inner", 4 * width),
            whole("n_positions"),
            whole("vocab_size"),
            epsilon,
            flag("scale_attn_weights", default=True),
            flag("scale_attn_by_inverse_layer_idx", default=False),
            is_tied=flag("tie_word_embeddings", default=True),
        )
        if data.get("n_ctx", found.n_positions) != found.n_positions:  # of older versions
            raise CheckError(f"n_ctx is {data['n_ctx']!r}, and n_positions {found.n_positions}", where)
        found._check(where)
        return found

    @classmethod
    def of_architecture(cls, data: Any, where: str) -> Config:
        """What a certificate says of a model that has no config.json.

        Raises:
            CheckError: it is not exactly of the form that is documented, or has no sense.
        """
        given = fields(data, ARCHITECTURE, where)
        inner = items(given["n_inner"], f"{where}.n_inner", most=SIZES_UP_TO)
        sizes = [given[name] for name in ("n_head", "n_embd", "n_positions", "n_vocab")]
        if not all(type(size) is int and 0 < size <= SIZES_UP_TO for size in sizes):
            raise CheckError("a size is no whole number above 0", where)
        if not inner or not all(type(size) is int and 0 <= size <= SIZES_UP_TO for size in inner):
            raise CheckError("not the hidden units of each block", f"{where}.n_inner")
        flags = given["scales_scores"], given["scales_by_layer"]
        if not all(isinstance(flag, bool) for flag in flags):
            raise CheckError("how scores are scaled is not true or false", where)
        for name, known in KNOWN.items():
            if given[name] not in known:
                raise CheckError(f"{name} is {given[name]!r}; the checker knows {known}", where)
        epsilon = epsilon_of(given, "norm_epsilon", None, where)
        n_head, width, positions, vocabulary = sizes
        found = cls(
            len(inner),
            n_head,
            width,
            max(inner),
            positions,
            vocabulary,
            epsilon,
            *flags,
            given["norm"] == "layer",
            {"relu": "relu", "gelu_tanh": "gelu_new"}[given["activation"]],
            tuple(inner),
        )
        found._check(where)
        return found

    def _check(self, where: str) -> None:
        if self.n_embd % self.n_head:
            raise CheckError(f"n_embd={self.n_embd} is no multiple of n_head={self.n_head}", where)


def whole_number(data: dict[str, Any], where: str, key: str, default: int | None = None) -> int:
    """A size in a config, or its default where it is left out or null.

    Raises:
        CheckError: it is no whole number above 0, or too large.
    """
    value = data.get(key)
    value = default if value is None else value
    if type(value) is not int or not 0 < value <= SIZES_UP_TO:
        raise CheckError(f"{key} is {value!r}, not a whole number above 0", where=where)
    return value


def true_or_false(data: dict[str, Any], where: str, key: str, *, default: bool) -> bool:
    """A flag in a config.

    Raises:
        CheckError: it is neither true nor false.
    """
    value = data.get(key, default)
    if not isinstance(value, bool):
        raise CheckError(f"{key} is {value!r}, not true or false", where=where)
    return value


def epsilon_of(data: dict[str, Any], key: str, default: float | None, where: str) -> float:
    """What a norm adds, as float32.

    Raises:
        CheckError: it has no sense.
    """
    epsilon = data.get(key, default)
    if not isinstance(epsilon, float) or not 1e-12 <= epsilon < 1:
        raise CheckError(f"{key} is {epsilon!r}", where)
    return float(np.float32(epsilon))


def check_keys(data: dict[str, Any], known: Collection[str], where: str) -> None:
    """Raise where a config has a key that may change what is computed, and is not read.

    Raises:
        CheckError: it has.
    """
    unknown = sorted(data.keys() - set(known))
    if unknown:
        raise CheckError(
            f"the checker does not know the key {unknown[0]!r}",
            where=where,
            fix="prove a GPT-2 of Hugging Face: handcraft compile PROGRAM --format huggingface",
        )


def check_values(data: dict[str, Any], known: Mapping[str, Any], where: str) -> None:
    """Raise where a key of a config has another value than the only one that the checker knows.

    Raises:
        CheckError: it has.
    """
    for key, expected in known.items():
        found = data.get(key, expected)
        if found != expected or type(found) is not type(expected):  # 0 is not false
            raise CheckError(f"{key} is {found!r}; the checker knows {expected!r}", where=where)


def check_class(data: dict[str, Any], name: str, where: str) -> None:
    """Raise where a config names another class than the one that is proved, which some tools then run.

    Raises:
        CheckError: it does.
    """
    found = data.get("architectures")
    if found is not None and found != [name]:
        raise CheckError(f"architectures is {found!r}; the checker knows {[name]!r}", where=where)


def check_dtype(data: Any, stored: Collection[str], claimed: Collection[str], where: str) -> None:
    """Raise where transformers would load a folder in another dtype than is claimed.

    It takes the dtype of config.json or, where there is none, that of a tensor, and rounds all weights.

    Args:
        data: the content of config.json, an object.
        stored: the dtypes of the tensors.
        claimed: the dtype of the weights, and of the steps.
        where: what to call the file.

    Raises:
        CheckError: a dtype is neither of them.
    """
    stated = [data[key] for key in DTYPES if data.get(key) is not None]
    for dtype in stated or stored:
        if dtype not in claimed:
            why = "it states" if stated else "it states no dtype, and the file of tensors has"
            known = " and ".join(sorted(set(claimed)))
            raise CheckError(
                f"{why} {dtype!r}, in which transformers loads the weights; {known} is claimed",
                where,
                f"set dtype to {min(claimed)!r}, or prove it in {dtype!r} with --regime",
            )
