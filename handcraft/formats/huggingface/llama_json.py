"""config.json of a Llama, or a Mistral, which is one with a sliding window: written and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from handcraft.architecture import LLAMA, Activation, Architecture
from handcraft.errors import CheckpointError, raise_all
from handcraft.formats.foreign_files import shown
from handcraft.formats.huggingface.facts import Config, Facts
from handcraft.model import Model
from handcraft.phrase import either, phrase

Data = dict[str, Any]

LLAMAS = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM"}
"""The classes of transformers, by their names in config.json; only the second one has a window."""

THETA = 10_000.0
"""The base of the frequencies where config.json is silent."""

LLAMA_DEFAULTS: Mapping[str, object] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
}
"""What decides the logits, with the values that `LlamaConfig` gives where config.json is silent."""

MISTRAL_DEFAULTS: Mapping[str, object] = {
    **{key: value for key, value in LLAMA_DEFAULTS.items() if not key.endswith("_bias")},
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "sliding_window": 4096,
}
"""The same of `MistralConfig`, which has no biases."""

ROPE = {"rope_theta", "rope_type", "type"}
"""The keys of frequencies that are not scaled."""

ACTIVATIONS: dict[str, Activation] = {"silu": "silu", "swish": "silu"}
"""Both names of the activation; the first one is written."""


def llama_config(model: Model) -> Data:
    """config.json of a model.

    No token ends a text, and none is padding: the tokenizer pads with the begin token, beside a mask,
    and without a mask `generate` of transformers would hide the begin token of every text. The base of
    the frequencies is there twice: transformers 5 reads ``rope_parameters``, and older engines
    ``rope_theta``.

    Raises:
        CheckpointError: no Llama of transformers has these sizes.
    """
    shape, architecture = model.shape, model.architecture
    check_sizes(model)
    kind = "llama" if architecture.window is None else "mistral"
    alone = (
        {"attention_bias": False, "mlp_bias": False, "pretraining_tp": 1}
        if architecture.window is None
        else {"sliding_window": architecture.window}
    )
    return {
        "architectures": [LLAMAS[kind]],
        "model_type": kind,
        "vocab_size": shape.n_vocab,
        "max_position_embeddings": shape.n_positions,
        "hidden_size": shape.n_embd,
        "intermediate_size": max(shape.n_inner),
        "num_hidden_layers": shape.n_layer,
        "num_attention_heads": shape.n_head,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": architecture.activation,
        "rms_norm_eps": architecture.norm_epsilon,
        "rope_theta": architecture.theta,
        "rope_parameters": {"rope_theta": architecture.theta, "rope_type": "default"},
        **alone,
        "attention_dropout": 0.0,
        "tie_word_embeddings": architecture.tied,
        "bos_token_id": model.begin_id,
        "eos_token_id": None,
        "pad_token_id": None,
        "use_cache": True,
        "dtype": model.dtype.name,
    }


def check_sizes(model: Model) -> None:
    """Raise unless `LlamaConfig` can state the sizes of a model.

    Raises:
        CheckpointError: it cannot.
    """
    shape = model.shape
    fix = phrase("write ", either("format", ["safetensors", "npz"]))
    if len(set(shape.n_inner)) != 1 or not shape.n_inner[0]:
        units = " and ".join(map(str, sorted(set(shape.n_inner)))) or "no"
        raise CheckpointError(
            f"the MLPs have {units} hidden units, and those of LlamaForCausalLM all have one size",
            fix=fix,
        )
    if shape.n_embd % shape.n_head:
        raise CheckpointError(
            f"a width of {shape.n_embd} is no multiple of {shape.n_head} heads, which "
            "LlamaForCausalLM requires even where the width of a head is stated",
            fix=fix,
        )


def read_llama(path: Path, found: Mapping[str, Any]) -> Config:
    """The facts in config.json of a Llama or a Mistral.

    Raises:
        CheckpointError: one of them is wrong.
        SeveralErrors: more than one is.
    """
    is_mistral = found["model_type"] == "mistral"
    facts = Facts(path, found, MISTRAL_DEFAULTS if is_mistral else LLAMA_DEFAULTS)
    n_embd, n_head = facts.size("hidden_size"), facts.size("num_attention_heads")
    kv_heads = facts.size_or("num_key_value_heads", n_head)
    if not facts.problems and n_embd % n_head:
        facts.refuse(
            f"hidden_size={n_embd} is no multiple of num_attention_heads={n_head}",
            "transformers requires it, even where head_dim is given",
        )
    if not facts.problems and n_head % kv_heads:
        facts.refuse(
            f"num_attention_heads={n_head} is no multiple of num_key_value_heads={kv_heads}",
            "heads are in groups of one size, which share keys and values",
        )
    head_dim = facts.size_or("head_dim", max(1, n_embd // n_head))
    if not facts.problems and head_dim % 2:
        facts.refuse(f"head_dim is {head_dim}", "it must be even: channels are rotated in pairs")
    for bias in () if is_mistral else ("attention_bias", "mlp_bias"):
        if facts.flag(bias):
            facts.refuse(f"{bias} is true", "only a model without biases can be read")
    n_vocab = facts.size("vocab_size")
    begin = found.get("bos_token_id", 1)
    if type(begin) is not int or begin != n_vocab - 1:
        facts.refuse(
            f"bos_token_id is {shown(begin)}",
            f"only a begin token that is the last token, {n_vocab - 1}, can be read; other models can "
            "be tested as transformers loads them: as_model(LlamaForCausalLM.from_pretrained(folder))",
        )
    config = Config(
        _architecture(facts, is_mistral=is_mistral),
        n_vocab=n_vocab,
        n_positions=facts.size("max_position_embeddings"),
        n_embd=n_embd,
        n_layer=facts.size("num_hidden_layers", least=0),
        n_head=n_head,
        n_inner=facts.size("intermediate_size"),
        padding=n_vocab - 1,
        n_kv_head=kv_heads,
        head_dim=head_dim,
    )
    raise_all(facts.problems)
    return config


def _architecture(facts: Facts, *, is_mistral: bool) -> Architecture:
    window = None
    if is_mistral and facts.value("sliding_window") is not None:
        window = facts.size("sliding_window")
    return replace(
        LLAMA,
        norm_epsilon=facts.epsilon("rms_norm_eps", LLAMA.norm_epsilon),
        activation=facts.activation("hidden_act", ACTIVATIONS),
        tied=facts.flag("tie_word_embeddings"),
        theta=_theta(facts),
        window=window,
    )


def _theta(facts: Facts) -> float:
    """The base of the frequencies, which up to three keys may state."""
    stated = [("rope_theta", facts.found["rope_theta"])] if "rope_theta" in facts.found else []
    for form in ("rope_scaling", "rope_parameters"):
        rope = facts.found.get(form)
        if rope is None:
            continue
        if not isinstance(rope, dict):
            facts.refuse(f"{form} is {shown(rope)}", "it must be an object or null")
        elif rope.get("rope_type", rope.get("type", "default")) != "default" or rope.keys() - ROPE:
            facts.refuse(
                f"{form} is {shown(rope)}",
                "only frequencies that are not scaled can be read, of which rope_type is default",
            )
        elif "rope_theta" in rope:
            stated.append((f"{form}.rope_theta", rope["rope_theta"]))
    if facts.found.get("partial_rotary_factor") not in (None, 1):
        facts.refuse(
            f"partial_rotary_factor is {shown(facts.found['partial_rotary_factor'])}",
            "only heads that are rotated whole can be read",
        )
    for name, theta in stated:
        if type(theta) not in (int, float) or not 0 < theta < float("inf"):
            facts.refuse(f"{name} is {shown(theta)}", "it must be a positive number")
            return THETA
    if len({theta for _, theta in stated}) > 1:
        facts.refuse(
            " and ".join(f"{name} is {shown(theta)}" for name, theta in stated),
            "they are names of one number: leave all but one out",
        )
    return float(stated[0][1]) if stated else THETA
