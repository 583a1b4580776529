"""tokenizer.json: the ids of tokens, which must be those of the certificate and of config.json."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from handcraft_check.errors import CheckError
from handcraft_check.program.nodes import items

ADDED_UP_TO = 1 << 24

FIX = "compile it again, or remove tokenizer.json: what is proved is about ids"


_SPACE = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}

PLAIN: dict[str, tuple[Any, ...]] = {
    "normalizer": (
        None,
        _SPACE,
        {
            "type": "Sequence",
            "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, _SPACE],
        },
    ),
    "truncation": (None,),
    "padding": (None,),
}
"""What a tokenizer may do with a text before it is split, and with the ids behind that."""


def check_added_tokens(data: Any, begin: int | None, where: str) -> None:
    """Raise unless a tokenizer puts the begin token of the model in front of a text, and adds no other.

    Args:
        data: the content of tokenizer.json.
        begin: the id of that token; None for a model that has none.
        where: what to call the file.

    Raises:
        CheckError: it puts another one there, or none, or adds more.
    """
    processor: Any = data.get("post_processor") if isinstance(data, dict) else None
    place = f"{where}: post_processor"
    try:
        before, after = _added(processor)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CheckError("it may add tokens to a text in a way that is not known", place, FIX) from None
    if before != ([] if begin is None else [begin]):
        shown = " and ".join(map(repr, before)) or "none"
        wanted = "the model has no begin token" if begin is None else f"{begin} in config.json"
        raise CheckError(f"the id in front of a text is {shown}, and {wanted}", place, FIX)
    if after:
        shown = " and ".join(map(repr, after))
        raise CheckError(f"the id {shown} is added at the end of a text", place, FIX)


def check_plain(data: Any, where: str) -> None:
    """Raise where a tokenizer may replace characters, cut texts off, or fill them up.

    A Llama's tokenizer has a sign in place of each space, and one in front, which is known.

    Raises:
        CheckError: it may.
    """
    for name, known in PLAIN.items():
        found = data.get(name) if isinstance(data, dict) else None
        if found not in known:
            raise CheckError(f"{name} may change a text", f"{where}: {name}", FIX)


def _added(processor: Any) -> tuple[list[int], list[int]]:
    """The ids that are added before a text, and after it.

    Raises:
        ValueError: the processor is not known. Other errors where it is damaged.
    """
    if processor is None or processor["type"] == "ByteLevel":
        return [], []
    if processor["type"] != "TemplateProcessing":
        raise ValueError(processor["type"])
    pieces = processor["single"]
    texts = [n for n, piece in enumerate(pieces) if "Sequence" in piece]
    if [pieces[n]["Sequence"]["id"] for n in texts] != ["A"]:
        raise ValueError("not one text")
    ids = [
        [] if n in texts else [*processor["special_tokens"][piece["SpecialToken"]["id"]]["ids"]]
        for n, piece in enumerate(pieces)
    ]
    before, after = ids[: texts[0]], ids[texts[0] :]
    return [*chain.from_iterable(before)], [*chain.from_iterable(after)]


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
    if not all(isinstance(each, dict) and isinstance(each.get("content"), str) for each in added):
        raise CheckError("an added token has no content", f"{where}: added_tokens", FIX)
    known = [ids, *({each["content"]: each.get("id")} for each in added)]
    for token, number in zip(vocabulary, token_ids, strict=True):
        found = [table[token] for table in known if token in table]
        if not found or any(type(each) is not int or each != number for each in found):
            shown = " and ".join(map(repr, found)) or "none"
            raise CheckError(
                f"the id of {token!r} is {shown}, and {number} in the certificate",
                where,
                FIX,
            )
