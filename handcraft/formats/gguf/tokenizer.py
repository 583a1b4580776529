"""The tokenizer in a GGUF file: that of GPT-2 with another vocabulary."""

from __future__ import annotations

import warnings
from typing import Any

from handcraft.errors import HandcraftWarning
from handcraft.model import Model
from handcraft.vocabulary import Vocabulary
from handcraft.weights import PADDING

NO_MERGE = "<none> <none>"
"""A merge of two pieces that occur in no text: the list of merges is required, and cannot be empty."""

DEFAULT_END = 11
"""The token that llama.cpp takes for the end of a text when none is named, if there are so many."""


def add_tokenizer(writer: Any, gguf: Any, model: Model) -> None:
    """Write the tokenizer, which is described at `write_gguf`."""
    vocabulary, n_vocab = model.vocabulary, model.shape.n_vocab
    kinds = gguf.TokenType
    names = dict(zip(vocabulary.numbers, vocabulary.tokens, strict=True))
    begin = model.begin_id
    free = (number for number in range(n_vocab) if number not in names)
    special = max(free, default=None) if begin is None else begin
    tokens, types = [], []
    for number in range(n_vocab):
        if number in names:
            tokens.append(_in_bytes(names[number]) if vocabulary.is_characters else names[number])
            types.append(int(kinds.NORMAL if vocabulary.is_characters else kinds.USER_DEFINED))
        else:
            known = PADDING[0] if begin is None else model.token_name(begin)
            name = known if number == special else f"<unused{number}>"
            tokens.append(_unlike(name, vocabulary))
            types.append(int(kinds.CONTROL if number == special else kinds.UNUSED))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(_merges(vocabulary) or [NO_MERGE])
    if special is not None:
        writer.add_bos_token_id(special)
        writer.add_eos_token_id(special)
        writer.add_pad_token_id(special)
    elif n_vocab > DEFAULT_END:
        warnings.warn(
            HandcraftWarning(
                f"llama.cpp will end a text at the token {names[DEFAULT_END]!r}: it takes the id "
                f"{DEFAULT_END} for the end where no id is free to be one"
            ),
            stacklevel=3,
        )
    writer.add_add_bos_token(begin is not None)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _unlike(name: str, vocabulary: Vocabulary) -> str:
    """A name that no token has."""
    while name in vocabulary:
        name += "_"
    return name


def _merges(vocabulary: Vocabulary) -> list[str]:
    """The merges that make every character of several bytes one token, byte after byte.

    The left piece of each begins with the first byte of a character and the right one is a later byte,
    so that no two characters are ever merged. Words need no merges.
    """
    if not vocabulary.is_characters:
        return []
    merges: dict[str, None] = {}  # in order
    for token in map(_in_bytes, vocabulary.tokens):
        for length in range(1, len(token)):
            merges[f"{token[:length]} {token[length]}"] = None
    return list(merges)


def _in_bytes(text: str) -> str:
    """Text as GPT-2's tokenizer writes it: one printable character for each byte of its UTF-8."""
    return "".join(_byte_letters()[byte] for byte in text.encode())


def _byte_letters() -> list[str]:
    """Printable bytes are written as themselves; the others are numbered from 256 on."""
    prints = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)}
    others = (byte for byte in range(256) if byte not in prints)
    moved = {byte: 256 + place for place, byte in enumerate(others)}
    return [chr(moved.get(byte, byte)) for byte in range(256)]
