"""tokenizer.json, as far as a vocabulary of characters or words can say the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handcraft.errors import CheckpointError
from handcraft.formats.foreign_files import find_file, read_object, shown
from handcraft.vocabulary import Vocabulary

TOKENIZER = "tokenizer.json"

_SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}

SPLITTERS: tuple[tuple[object, str], ...] = (
    ({**_SPLIT, "pattern": {"Regex": r"[\s\S]"}}, r"[\s\S]|\S+"),
    ({**_SPLIT, "pattern": {"String": ""}}, r"[\s\S]|\S+"),
    ({"type": "WhitespaceSplit"}, r"\S+"),
    ({"type": "Whitespace"}, r"\w+|[^\w\s]+"),
)
"""The pre-tokenizers that split as handcraft does, and the tokens that keep their names with each."""


def read_vocabulary(folder: Path, n_vocab: int, *, last_pads: bool = False) -> Vocabulary:
    """The tokens by tokenizer.json, or ``#0``, ``#1``, ... (see `read_huggingface`).

    Args:
        folder: where tokenizer.json is, if there is one.
        n_vocab: the number of ids.
        last_pads: whether the last id fills up batches and is no token of the vocabulary.

    Raises:
        CheckpointError: tokenizer.json is damaged, or gives a token or an id twice, or an id outside
            the vocabulary.
    """
    count = n_vocab - last_pads
    path = find_file(folder, TOKENIZER)
    tokenizer: dict[str, Any] = {} if path is None else read_object(path)
    kept = _names_that_are_kept(tokenizer)
    if kept is None:
        return Vocabulary(_all_named({}, count))
    added = tokenizer.get("added_tokens") or []
    try:
        numbers = _numbers_by_token(tokenizer["model"].get("vocab"), added, n_vocab)
    except ValueError as error:
        raise CheckpointError(
            f"{TOKENIZER} cannot be right: {error}",
            where=path,
            fix=f"mend it, or take it away: the tokens are then called #0 to #{n_vocab - 1}",
        ) from error
    special = {entry["content"] for entry in added}
    names = {
        number: token
        for token, number in numbers.items()
        if number < count
        and (re.fullmatch(kept, token) or (token in special and re.fullmatch(r"\S+", token)))
    }
    return Vocabulary(_all_named(names, count))


def _names_that_are_kept(tokenizer: Mapping[str, Any]) -> str | None:
    """What a name may look like; None where text becomes tokens in a way that is not known here."""
    model = tokenizer.get("model")
    if not isinstance(model, dict) or model.get("type") != "WordLevel":
        return None
    if tokenizer.get("normalizer") is not None or tokenizer.get("post_processor") is not None:
        return None
    splitter = tokenizer.get("pre_tokenizer")
    return next((names for form, names in SPLITTERS if form == splitter), None)


def _numbers_by_token(vocab: object, added: object, n_vocab: int) -> dict[str, int]:
    """The ids of a WordLevel tokenizer, each id and each token once."""
    if not isinstance(vocab, dict) or not isinstance(added, list):
        raise ValueError("vocab is no object, or added_tokens is no list")
    numbers: dict[str, int] = dict(vocab)
    for entry in added:
        match entry:
            case {"content": str(token), "id": int(number)}:
                if numbers.setdefault(token, number) != number:
                    raise ValueError(
                        f"{shown(token)} has two ids, {shown(numbers[token])} and {shown(number)}"
                    )
            case _:
                raise ValueError(f"an added token is {shown(entry)}")
    tokens: dict[int, str] = {}
    for token, number in numbers.items():
        if type(number) is not int or not 0 <= number < n_vocab:
            raise ValueError(f"{shown(token)} has the id {shown(number)}, and vocab_size is {n_vocab}")
        if tokens.setdefault(number, token) != token:
            raise ValueError(f"{shown(tokens[number])} and {shown(token)} both have the id {number}")
        token.encode()  # a lone surrogate is no text
    return numbers


def _all_named(names: Mapping[int, str], count: int) -> list[str]:
    """A name for every id, none of them twice; no blank among words, which it would separate."""
    if len(names) < count or any(len(name) > 1 for name in names.values()):
        names = {number: name for number, name in names.items() if not name.isspace()}
    taken = set(names.values())
    listed = []
    for number in range(count):
        name = names.get(number)
        if name is None:
            name = f"#{number}"
            while name in taken:
                name = "#" + name
        listed.append(name)
    return listed
