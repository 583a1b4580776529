"""How transformers reads the keys of a repository: defaults, synonyms, and keys without effect.

A key that is in none of these tables is assumed to change answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handcraft.formats.huggingface.config_json import ALIASES, CONFIG, DEFAULTS
from handcraft.formats.huggingface.read_tokenizer import TOKENIZER

GENERATION = "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"


@dataclass(frozen=True)
class Inert:
    """A key that changes no answer, as long as its value is one that is read.

    Args:
        reason: why it changes none.
        values: what its value must be, in words; others are refused, or misread.
        allows: whether a value is one of them.
    """

    reason: str
    values: str
    allows: Callable[[object], bool]


@dataclass(frozen=True)
class Keys:
    """How one file is read.

    Args:
        absent: what is assumed where a key is left out.
        synonyms: other names of a key.
        inert: keys that change no answer.
    """

    absent: Mapping[str, Any] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)
    inert: Mapping[str, Inert] = field(default_factory=dict)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and 0 <= value <= 1


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _is_text(value: object) -> bool:
    return type(value) is str


_DROPOUT = Inert(
    "dropout is active in training only, and from_pretrained ends with eval()",
    "a number from 0 to 1",
    _is_share,
)
_CACHE = Inert(
    "keys and values that are kept are those that would be computed again", "true or false", _is_flag
)
_ORDER = Inert("scores are scaled and rounded in another order", "true or false", _is_flag)
_INIT = Inert("only weights that are in no file are drawn at random", "a number from 0 to 1", _is_share)
_OTHER_CLASS = "only models of other classes have a summary layer"
_SUMMARY_FLAG = Inert(_OTHER_CLASS, "true or false", _is_flag)
_SUMMARY_TEXT = Inert(_OTHER_CLASS, "a name or null", lambda value: value is None or _is_text(value))
_SUMMARY_SHARE = Inert(_OTHER_CLASS, "a number from 0 to 1", _is_share)
_NOTE = Inert("a note on who wrote the file", "a text", _is_text)
_NOTE_FLAG = Inert("a note on where the files were", "true or false", _is_flag)

KEYS: Mapping[str, Keys] = {
    CONFIG: Keys(
        absent={
            **DEFAULTS,
            "bos_token_id": 50256,
            "eos_token_id": 50256,
            "pad_token_id": None,
            "output_attentions": False,
            "output_hidden_states": False,
            "return_dict": True,
        },
        synonyms={other: key for key, other in ALIASES.items()} | {"torch_dtype": "dtype"},
        inert={
            "resid_pdrop": _DROPOUT,
            "embd_pdrop": _DROPOUT,
            "attn_pdrop": _DROPOUT,
            "initializer_range": _INIT,
            "summary_activation": _SUMMARY_TEXT,
            "summary_first_dropout": _SUMMARY_SHARE,
            "summary_proj_to_labels": _SUMMARY_FLAG,
            "summary_type": _SUMMARY_TEXT,
            "summary_use_proj": _SUMMARY_FLAG,
            "reorder_and_upcast_attn": _ORDER,
            "use_cache": _CACHE,
            "transformers_version": _NOTE,
            "_name_or_path": _NOTE,
        },
    ),
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
        inert={
            "use_cache": _CACHE,
            "transformers_version": _NOTE,
            "_from_model_config": _NOTE_FLAG,
        },
    ),
    TOKENIZER: Keys(),
    TOKENIZER_CONFIG: Keys(
        absent={"add_prefix_space": False, "extra_special_tokens": {}, "backend": "tokenizers"},
        inert={
            "is_local": _NOTE_FLAG,
            "local_files_only": _NOTE_FLAG,
            "name_or_path": _NOTE,
            "transformers_version": _NOTE,
        },
    ),
}
"""The files that transformers reads, and how."""
