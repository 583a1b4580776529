"""tokenizer.json: the ids of tokens, which must be those of the certificate and of config.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handcraft_check.errors import CheckError
from handcraft_check.program.nodes import items

ADDED_UP_TO = 1 << 24


def check_begin_token(data: Any, begin: int, where: str) -> None:
    """Raise unless a tokenizer puts the begin token of the model in front of a text.

    Args:
        data: the content of tokenizer.json.
        begin: the id of that token.
        where: what to call the file.

    Raises:
        CheckError: it puts another one there, or none.
    """
    template: Any = data.get("post_processor") if isinstance(data, dict) else None
    try:
        token = template["single"][0]["SpecialToken"]["id"]
        found = template["special_tokens"][token]["ids"]
    except (KeyError, TypeError, IndexError):
        found = []
    if found != [begin]:
        shown = " and ".join(map(repr, found)) if isinstance(found, list) and found else "none"
        raise CheckError(
            f"the id in front of a text is {shown}, and {begin} in config.json",
            f"{where}: post_processor",
            "compile it again, or remove tokenizer.json: what is proved is about ids",
        )


def check_tokenizer(data: Any, vocabulary: Sequence[str], token_ids: Sequence[int], where: str) -> None:
    """Raise unless a tokenizer has every token of a certificate, under the same id.

    How it splits a text into tokens is not checked.

    Args:
        data: the content of tokenizer.json.
        vocabulary: the tokens.
        token_ids: the id of each.
        where: what to call the file.

    Raises:
        CheckError: a token is missing, or has another id.
    """
    model = data.get("model") if isinstance(data, dict) else None
    ids = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(ids, dict):
        raise CheckError("its model has no table of ids", f"{where}: model.vocab")
    added = items(data.get("added_tokens") or [], f"{where}: added_tokens", most=ADDED_UP_TO)
    known = [ids, *({each.get("content"): each.get("id")} for each in added if isinstance(each, dict))]
    for token, number in zip(vocabulary, token_ids, strict=True):
        found = [table[token] for table in known if token in table]
        if not found or any(type(each) is not int or each != number for each in found):
            shown = " and ".join(map(repr, found)) or "none"
            raise CheckError(
                f"the id of {token!r} is {shown}, and {number} in the certificate",
                where,
                "compile it again, or remove tokenizer.json: what is proved is about ids",
            )
