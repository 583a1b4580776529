"""Small damage to bytes, to text and to JSON, drawn at random; the same seed gives the same damage."""

from __future__ import annotations

import json
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 255, 2**31, 2**63, 10**30, 10**400, 0.7, 1e308, float("nan"),
    float("inf"), "", "01", "0", "1/0", "1/3", "9" * 5_000, "a" * 300, "\ud800", "\x1b[2J", "\x00",
    "handcraft", "../x", "(a*)*b", "(a|aa)+$", [], {}, [[]], [[0, 0, 10**9, [0]]], [0] * 200, {"": 0},
)  # fmt: skip
"""What stands in the place of a value."""

WORDS = (
    "predict", "after", "when", "otherwise", "start", "vocabulary", "context", "the", "token", "last",
    "first", "back", "is", "not", "and", "or", "count of", "position", "came before", "%", ">=", "==",
    "(", ")", "[", "]", "[^", "^", ".", "\\", "\\n", "#", "\n", " ", "1/4", "0.5", "999999999",
    "1000000", "0", "a", "b", "é", "\u0301", "😀", "\u2028", "\x00", "\r",
)  # fmt: skip
"""What is put into a text."""


def damaged_bytes(data: bytes, random: Random) -> bytes:
    """The bytes with one to four of: a bit turned, some left out, some twice, some put in, an end."""
    found = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(found))
        to = min(len(found), at + random.choice((1, 1, 2, 4, 16, 256)))
        match random.randrange(6):
            case 0 if at < len(found):
                found[at] ^= 1 << random.randrange(8)
            case 1:
                del found[at:to]
            case 2:
                found[at:at] = found[at:to] * random.choice((1, 2, 30))
            case 3:
                found[at:at] = random.choice((b"\xff" * 4, b"\0" * 8, b"\x7f\xff\xff\xff", b"[" * 50))
            case 4:
                del found[at:]
            case _:
                found[at:to] = random.randbytes(to - at)
    return bytes(found)


def damaged_text(text: str, random: Random) -> str:
    """The text with one to four of: words put in, some of it left out, twice or in another order."""
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(text))
        to = min(len(text), at + random.choice((1, 2, 5, 40)))
        match random.randrange(5):
            case 0:
                text = text[:at] + text[to:]
            case 1:
                text = text[:to] + text[at:to] * random.choice((1, 3, 200)) + text[to:]
            case 2:
                lines = text.splitlines(keepends=True)
                random.shuffle(lines)
                text = "".join(lines)
            case _:
                text = text[:at] + random.choice(WORDS) * random.choice((1, 1, 1, 400)) + text[at:]
    return text


def damaged_json(data: bytes, random: Random) -> bytes:
    """The JSON with one to three values changed, left out, twice, or nested."""
    value = json.loads(data)
    for _ in range(random.randint(1, 3)):
        value = _changed(value, random)
    text = json.dumps(value)
    if random.random() < 0.1:
        text = text.replace("0", random.choice(("0" * 5_000, "1e999", "-0", "0x1")), 1)
    return text.encode()


def _changed(value: Any, random: Random) -> Any:
    """The value with one place in it changed; deep places as likely as high ones."""
    if isinstance(value, dict | list) and value and random.random() < 0.9:
        copy = dict(value) if isinstance(value, dict) else list(value)
        key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
        match random.randrange(12):
            case 0:
                del copy[key]
            case 1 if isinstance(copy, list):
                copy[key:key] = [copy[key]] * random.choice((1, 2, 100))
            case 2 if isinstance(copy, dict):
                copy[str(random.choice(ODD))[:40]] = copy.pop(key)
            case 3:
                other = random.choice(list(value)) if isinstance(value, dict) else 0
                copy[key], copy[other] = copy[other], copy[key]
            case _:
                copy[key] = _changed(copy[key], random)
        return copy
    match random.randrange(6):
        case 0 if isinstance(value, int):
            return value + random.choice((-1, 1, 10**6, -(10**6)))
        case 1 if isinstance(value, str):
            return damaged_text(value, random)
        case 2:
            return [value] * random.choice((1, 3))
    return random.choice(ODD)
