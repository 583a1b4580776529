"""How transformers reads the keys of a repository: defaults, synonyms, and keys without effect.

A key that is in none of these tables is assumed to change answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handcraft.formats.huggingface.config_json import ALIASES, DEFAULTS
from handcraft.formats.huggingface.llama_json import LLAMA_DEFAULTS, MISTRAL_DEFAULTS
from handcraft.formats.huggingface.tokenizer import TOKENIZER

GENERATION = "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"


@dataclass(frozen=True)
class Inert:
    """A key that changes no answer, as long as its value is one that is read.

    Args:
        values: what its value must be, in words; others are refused, or misread.
        allows: whether a value is one of them.
    """

    values: str
    allows: Callable[[object], bool]


@dataclass(frozen=True)
class Keys:
    """How one file is read: defaults, other names of keys, and keys that change no answer."""

    absent: Mapping[str, Any] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)
    inert: Mapping[str, Inert] = field(default_factory=dict)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and 0 <= value <= 1


SHARE = Inert("a number from 0 to 1", _is_share)
FLAG = Inert("true or false", lambda value: type(value) is bool)
TEXT = Inert("a text", lambda value: type(value) is str)
NAME = Inert("a name or null", lambda value: value is None or type(value) is str)

COUNT = Inert("a positive whole number", lambda value: type(value) is int and value > 0)

NOTES = {"transformers_version": TEXT}
"""Notes on who wrote a file."""

OUTPUTS = {"output_attentions": False, "output_hidden_states": False, "return_dict": True}
"""What a model returns beside the logits."""

ANY = {
    "initializer_range": SHARE,  # of weights that are in no file
    "use_cache": FLAG,  # keys and values that are kept are those computed again otherwise
    "_name_or_path": TEXT,
    **NOTES,
}
"""Keys of config.json that change no answer in any family."""


def _llama_keys(defaults: Mapping[str, object]) -> Keys:
    return Keys(
        absent={**defaults, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, **OUTPUTS},
        synonyms={"torch_dtype": "dtype"},
        inert={
            "attention_dropout": SHARE,  # in training only
            "pretraining_tp": COUNT,  # in how many parts products are computed
            **ANY,
        },
    )


CONFIG_KEYS: Mapping[str, Keys] = {
    "gpt2": Keys(
        absent={
            **DEFAULTS,
            "bos_token_id": 50256,
            "eos_token_id": 50256,
            "pad_token_id": None,
            **OUTPUTS,
        },
        synonyms={other: key for key, other in ALIASES.items()} | {"torch_dtype": "dtype"},
        inert={
            **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), SHARE),  # in training only
            "summary_activation": NAME,  # only models of other classes have a summary layer
            "summary_first_dropout": SHARE,
            "summary_proj_to_labels": FLAG,
            "summary_type": NAME,
            "summary_use_proj": FLAG,
            "reorder_and_upcast_attn": FLAG,  # the order in which scores are scaled and rounded
            **ANY,
        },
    ),
    "llama": _llama_keys(LLAMA_DEFAULTS),
    "mistral": _llama_keys(MISTRAL_DEFAULTS),
}
"""How transformers reads config.json, by the family that it names."""

KEYS: Mapping[str, Keys] = {
    GENERATION: Keys(
        absent={
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": None,
            "do_sample": False,
            "num_beams": 1,
            "num_return_sequences": 1,
            "repetition_penalty": 1.0,
            "max_length": 20,
        },
        inert={"use_cache": FLAG, "_from_model_config": FLAG, **NOTES},
    ),
    TOKENIZER: Keys(),
    TOKENIZER_CONFIG: Keys(
        absent={"add_prefix_space": False, "extra_special_tokens": {}, "backend": "tokenizers"},
        inert={"is_local": FLAG, "local_files_only": FLAG, "name_or_path": TEXT, **NOTES},
    ),
}
"""The other files that transformers reads, and how."""
