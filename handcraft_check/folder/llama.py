"""The sizes of a Llama or a Mistral, as config.json has them.

Source: transformers, models/llama and models/mistral. A Mistral is a Llama whose positions may see
only some positions before them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from handcraft_check.errors import CheckError
from handcraft_check.folder.config import (
    Config,
    check_class,
    check_keys,
    check_values,
    epsilon_of,
    true_or_false,
    whole_number,
)

MODEL_TYPES = ("llama", "mistral")
"""What config.json calls them."""

KEYS = {
    "architectures",
    "attention_bias",
    "attention_dropout",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "max_position_embeddings",
    "mlp_bias",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "pad_token_id",
    "pretraining_tp",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "vocab_size",
}
"""The keys of config.json that are read, or change no logit."""

KNOWN = {
    "attention_bias": False,
    "hidden_act": "silu",
    "mlp_bias": False,
    "pretraining_tp": 1,
    "rope_scaling": None,
}
"""The keys of which the checker knows one value, which is also the default of transformers."""

THETA = 10_000.0
"""The default of transformers."""

THETA_UP_TO = 1e9


def is_llama(data: Any) -> bool:
    """Whether a config is one of a Llama or a Mistral."""
    return isinstance(data, dict) and data.get("model_type") in MODEL_TYPES


def read_llama(data: dict[str, Any], where: str) -> Config:
    """The sizes of a config of Hugging Face's LlamaForCausalLM or MistralForCausalLM.

    Raises:
        CheckError: a key is missing or has no sense, or the model computes what the checker does not
            know.
    """
    whole, flag = partial(whole_number, data, where), partial(true_or_false, data, where)
    is_mistral = data["model_type"] == "mistral"
    check_keys(data, KEYS if is_mistral else KEYS - {"sliding_window"}, where)
    check_class(data, "MistralForCausalLM" if is_mistral else "LlamaForCausalLM", where)
    check_values(data, KNOWN, where)
    width, heads, size = whole("hidden_size"), whole("num_attention_heads"), whole("vocab_size")
    kv_heads = whole("num_key_value_heads", 8 if is_mistral else heads)
    if heads % kv_heads:
        raise CheckError(f"{heads} heads cannot share {kv_heads} heads of keys and values", where=where)
    if width % heads and not is_mistral:
        raise CheckError(f"hidden_size={width} is no multiple of {heads} heads", where=where)
    head_dim = whole("head_dim", width // heads or None)
    if head_dim % 2:
        raise CheckError(
            f"head_dim={head_dim} is odd, and dimensions are rotated in pairs", where=where
        )
    begin = data.get("bos_token_id")
    if type(begin) is not int or not 0 <= begin < size:
        raise CheckError(
            f"bos_token_id is {begin!r}, not the id of a token",
            where=where,
            fix="name the token that stands in front of every text",
        )
    # transformers takes 4,096 where a Mistral says nothing, and null for no window
    has_window = is_mistral and data.get("sliding_window", 4096) is not None
    return Config(
        whole("num_hidden_layers"),
        heads,
        width,
        whole("intermediate_size"),
        whole("max_position_embeddings"),
        size,
        epsilon_of(data, "rms_norm_eps", 1e-6, where),
        scales_scores=True,
        scales_by_layer=False,
        activation="silu",
        theta=_theta(data, where),
        kv_heads=kv_heads,
        head_dim=head_dim,
        window=whole("sliding_window", 4096) if has_window else None,
        begin=begin,
        is_tied=flag("tie_word_embeddings", default=False),
    )


def _theta(data: dict[str, Any], where: str) -> float:
    """The base of the frequencies, which older versions of transformers want on its own."""
    stated = data.get("rope_parameters")
    stated = {} if stated is None else stated
    known = {"rope_theta", "rope_type"}
    if (
        not isinstance(stated, dict)
        or stated.keys() - known
        or stated.get("rope_type", "default") != "default"
    ):
        raise CheckError(f"rope_parameters is {stated!r}; the checker knows the default", where=where)
    found = [each["rope_theta"] for each in (data, stated) if "rope_theta" in each]
    for theta in found:
        if type(theta) not in (int, float) or not 1 < theta <= THETA_UP_TO:
            raise CheckError(f"rope_theta is {theta!r}, not a number above 1", where=where)
    if len({*found}) > 1:
        raise CheckError("rope_theta and rope_parameters state two bases", where=where)
    return float(next(iter(found), THETA))
