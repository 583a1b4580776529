"""tokenizer.json and tokenizer_config.json, written by hand for characters and for words."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, count
from typing import Any

from handcraft.vocabulary import Vocabulary

Record = dict[str, Any]

UNKNOWN = "<unk>"
"""What unknown tokens are called, with a number where a token of the program is called so. No
vocabulary has the name, so that text with an unknown token is an error."""


def tokenizer_json(vocabulary: Vocabulary, ids: Mapping[str, int], padding: str) -> Record:
    """tokenizer.json: every character is a token, or every word between blanks is.

    Args:
        vocabulary: the tokens of the program.
        ids: the id of every token, padding included.
        padding: the token that batches are padded with.
    """
    if vocabulary.is_characters:
        splitter: Record = {
            "type": "Split",
            "pattern": {"Regex": r"[\s\S]"},
            "behavior": "Isolated",
            "invert": False,
        }
        decoder: Record | None = {"type": "Fuse"}
    else:
        splitter, decoder = {"type": "WhitespaceSplit"}, None
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
        "pre_tokenizer": splitter,
        "post_processor": None,
        "decoder": decoder,
        "model": {
            "type": "WordLevel",
            "vocab": dict(ids),
            "unk_token": next(n for n in names if n not in ids),
        },
    }


def tokenizer_config(n_positions: int, padding: str) -> Record:
    """tokenizer_config.json: nothing is added to a text, and batches are padded on the left."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": n_positions,
        "pad_token": padding,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
    }
