"""tokenizer.json: written for a vocabulary of characters or words, and read if it is like these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any

from handcraft.errors import CheckpointError
from handcraft.formats.foreign_files import find_file, read_object, shown
from handcraft.vocabulary import Vocabulary

Data = dict[str, Any]

TOKENIZER = "tokenizer.json"

UNKNOWN = "<unk>"
"""What unknown tokens are called, with a number where a token of the program is called so. No
vocabulary has the name, so that text with an unknown token is an error."""

CHARACTER = r"[\s\S]"

CHARACTERS = {
    "type": "Split",
    "pattern": {"Regex": CHARACTER},
    "behavior": "Isolated",
    "invert": False,
}
WORDS = {"type": "WhitespaceSplit"}

SPLITTERS: tuple[tuple[object, str], ...] = (
    (CHARACTERS, CHARACTER),
    ({**CHARACTERS, "pattern": {"String": ""}}, CHARACTER),
    (WORDS, r"\S+"),
    ({"type": "Whitespace"}, r"\w+|[^\w\s]+"),
)
"""The pre-tokenizers that split as a vocabulary does, and a regular expression for their pieces."""


def read_vocabulary(
    folder: Path, n_vocab: int, padding: int | None = None, begin: int | None = None
) -> Vocabulary:
    """The tokens that tokenizer.json finds in text; by default ``#0``, ``#1``, ... for all ids.

    The names are those of tokenizer.json if text becomes tokens there as it does here: a WordLevel
    vocabulary, split by characters or at blanks, nothing normalised and nothing put around the text.
    Then tokens that no piece of text can be, such as ``<unk>`` among characters, have no name.

    The id `padding` only fills up batches, and so has no name either. Where a model has a begin token,
    of the id `begin`, tokenizer.json must put it before every text, and it has no name.

    Raises:
        CheckpointError: tokenizer.json is damaged, or gives a token or an id twice, or an id outside
            the vocabulary.
    """
    path = find_file(folder, TOKENIZER)
    tokenizer: dict[str, Any] = {} if path is None else read_object(path)
    piece = _piece(tokenizer, begin)
    ids: dict[str, int] = {}
    if piece is not None:
        try:
            ids = _ids(tokenizer["model"].get("vocab"), tokenizer.get("added_tokens") or [], n_vocab)
        except ValueError as error:
            raise CheckpointError(
                f"{TOKENIZER} is invalid: {error}",
                where=path,
                fix=f"repair it, or remove it: the tokens are then called #0 to #{n_vocab - 1}",
            ) from error
        ids = {t: i for t, i in ids.items() if i != padding and re.fullmatch(piece, t)}
    if ids:
        vocabulary = Vocabulary(ids, ids=ids.values())
        if vocabulary.is_characters == (piece == CHARACTER):  # not so for words of one letter each
            return vocabulary
    return Vocabulary([f"#{number}" for number in range(n_vocab if begin is None else begin)])


def _piece(tokenizer: Mapping[str, Any], begin: int | None) -> str | None:
    """The regular expression of a piece of text; None if the tokenizer is of another kind."""
    model = tokenizer.get("model")
    if not isinstance(model, dict) or model.get("type") != "WordLevel":
        return None
    vocab = model.get("vocab")
    names = [name for name, i in vocab.items() if i == begin] if isinstance(vocab, dict) else []
    around = begin_template(names[0], begin) if begin is not None and names else None
    if tokenizer.get("normalizer") is not None or tokenizer.get("post_processor") != around:
        return None
    splitter = tokenizer.get("pre_tokenizer")
    return next((piece for form, piece in SPLITTERS if form == splitter), None)


def _ids(vocab: object, added: object, n_vocab: int) -> dict[str, int]:
    """The ids of a WordLevel tokenizer, each token and each id once, in the order of the file."""
    if not isinstance(vocab, dict) or not isinstance(added, list):
        raise ValueError("vocab is not an object, or added_tokens is not a list")
    ids: dict[str, int] = dict(vocab)
    for entry in added:
        match entry:
            case {"content": str(token), "id": int(number)}:
                if ids.setdefault(token, number) != number:
                    raise ValueError(
                        f"{shown(token)} has two ids, {shown(ids[token])} and {shown(number)}"
                    )
            case _:
                raise ValueError(f"an added token is {shown(entry)}")
    tokens: dict[int, str] = {}
    for token, number in ids.items():
        if type(number) is not int or not 0 <= number < n_vocab:
            raise ValueError(f"{shown(token)} has the id {shown(number)}, and vocab_size is {n_vocab}")
        if tokens.setdefault(number, token) != token:
            raise ValueError(f"{shown(tokens[number])} and {shown(token)} both have the id {number}")
        token.encode()  # a lone surrogate is no text
    return ids


def begin_template(name: str, number: int) -> Data:
    """The post-processor that puts the begin token before every text."""
    begin, text = {"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [begin, text],
        "pair": [begin, text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}},
    }


def tokenizer_json(
    vocabulary: Vocabulary, ids: Mapping[str, int], padding: str, *, begins: bool = False
) -> Data:
    """tokenizer.json: every character is a token, or every word between blanks is.

    Args:
        vocabulary: the tokens of the program.
        ids: the id of each of them, and of the one that batches are padded with.
        padding: the name of that one.
        begins: whether it is put before every text too.
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
        "post_processor": begin_template(padding, ids[padding]) if begins else None,
        "decoder": {"type": "Fuse"} if vocabulary.is_characters else None,
        "model": {
            "type": "WordLevel",
            "vocab": dict(ids),
            "unk_token": next(n for n in names if n not in ids),
        },
    }


def tokenizer_config(n_positions: int, padding: str, *, begins: bool = False) -> Data:
    """tokenizer_config.json: batches are padded on the left, with the begin token where there is one.

    What is put before a text is in tokenizer.json.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": n_positions,
        **({"bos_token": padding} if begins else {}),
        "pad_token": padding,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
    }
