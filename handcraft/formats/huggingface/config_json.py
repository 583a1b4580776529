"""config.json: the facts that decide the logits, each checked; those of GPT-2 are here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from handcraft.architecture import GPT2, Activation
from handcraft.errors import CheckpointError, raise_all
from handcraft.formats.foreign_files import find_file, read_object, shown
from handcraft.formats.huggingface.facts import Config, Facts
from handcraft.formats.huggingface.llama_json import LLAMAS, read_llama

CONFIG = "config.json"

DEFAULTS: Mapping[str, object] = {
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
"""What decides the logits, with the values that `GPT2Config` gives where config.json is silent."""

ALIASES = {
    "n_positions": "max_position_embeddings",
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
}
"""Other names under which `GPT2Config` takes a size."""

ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu_erf",
    "relu": "relu",
}
"""The activation functions, by their names in config.json; the first name of one is written."""


def read_config(folder: Path) -> Config:
    """The facts in config.json, each checked by itself; code that it names is never read.

    Raises:
        CheckpointError: it is missing, damaged, of another architecture, or one fact is wrong.
        SeveralErrors: more than one fact is wrong.
    """
    path = find_file(folder, CONFIG)
    if path is None:
        raise CheckpointError(
            f"the folder has no {CONFIG}",
            where=folder,
            fix="name a folder that save_pretrained wrote",
        )
    found = read_object(path)
    kind = found.get("model_type")
    if found.get("quantization_config") is not None:
        raise CheckpointError(
            f"quantization_config is {shown(found['quantization_config'])}",
            where=path,
            fix="only weights that are not quantized can be read; save the model without quantization",
        )
    if kind == "gpt2":
        return _read_gpt2(path, found)
    if isinstance(kind, str) and kind in LLAMAS:
        return read_llama(path, found)
    raise CheckpointError(
        f"{CONFIG} is of a model of type {shown(kind)}",
        where=path,
        fix=f"these can be read: {', '.join(['gpt2', *LLAMAS])}",
    )


def _read_gpt2(path: Path, found: Mapping[str, Any]) -> Config:
    facts = Facts(path, found, DEFAULTS, ALIASES)
    n_embd, n_head = facts.size("n_embd"), facts.size("n_head")
    if not facts.problems and n_embd % n_head:
        facts.refuse(
            f"n_embd={n_embd} dimensions do not make n_head={n_head} equal heads",
            "n_embd must be a multiple of n_head",
        )
    if facts.flag("add_cross_attention"):
        facts.refuse("add_cross_attention is true", "only a model without cross-attention can be read")
    facts.flag("reorder_and_upcast_attn")  # an order of rounding, not another function
    config = Config(
        replace(
            GPT2,
            norm_epsilon=facts.epsilon("layer_norm_epsilon", GPT2.norm_epsilon),
            activation=facts.activation("activation_function", ACTIVATIONS),
            tied=facts.flag("tie_word_embeddings"),
            scales_scores=facts.flag("scale_attn_weights"),
            scales_by_layer=facts.flag("scale_attn_by_inverse_layer_idx"),
        ),
        n_vocab=facts.size("vocab_size"),
        n_positions=facts.size("n_positions"),
        n_embd=n_embd,
        n_layer=facts.size("n_layer", least=0),
        n_head=n_head,
        n_inner=facts.size_or("n_inner", 4 * n_embd),
        padding=_padding(found),
    )
    raise_all(facts.problems)
    return config


def _padding(found: Mapping[str, Any]) -> int | None:
    """The id of the padding token, unless it has another part to play as well."""
    padding, ends = found.get("pad_token_id"), found.get("eos_token_id")
    others = [found.get("bos_token_id"), *(ends if isinstance(ends, list) else [ends])]
    return padding if type(padding) is int and padding not in others else None
