"""tokenizer.json and tokenizer_config.json, written by hand for characters and for words."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, count
from typing import Any

from handcraft.formats.huggingface.read_tokenizer import CHARACTERS, WORDS
from handcraft.vocabulary import Vocabulary

Data = dict[str, Any]

UNKNOWN = "<unk>"
"""What unknown tokens are called, with a number where a token of the program is called so. No
vocabulary has the name, so that text with an unknown token is an error."""


def tokenizer_json(vocabulary: Vocabulary, ids: Mapping[str, int], padding: str) -> Data:
    """tokenizer.json: every character is a token, or every word between blanks is.

    `ids` has every token, and the one that batches are padded with.
    """
    names = chain([UNKNOWN], (f"<unk{number}>" for number in count(1)))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": ids[padding],
                "content": padding,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ],
        "normalizer": None,
        "pre_tokenizer": CHARACTERS if vocabulary.is_characters else WORDS,
        "post_processor": None,
        "decoder": {"type": "Fuse"} if vocabulary.is_characters else None,
        "model": {
            "type": "WordLevel",
            "vocab": dict(ids),
            "unk_token": next(n for n in names if n not in ids),
        },
    }


def tokenizer_config(n_positions: int, padding: str) -> Data:
    """tokenizer_config.json: nothing is added to a text, and batches are padded on the left."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": n_positions,
        "pad_token": padding,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
    }
