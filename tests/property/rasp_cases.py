"""Worked cases of the programs of the RASP literature, and what each program says in plain Python."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from handcraft import rasp
from handcraft.rasp import indices, library, tokens

CASES = json.loads((Path(__file__).parents[1] / "golden" / "rasp_cases.json").read_text())["cases"]
FUNCTIONS = {"x + y - z": lambda x, y, z: x + y - z}
SEQUENCES = {"tokens": tokens, "indices": indices}


def program(case: dict[str, Any]) -> rasp.SOp:
    """The library's program of a case."""
    given = case["parameters"]
    longest = case["max_length"]
    match case["program"]:
        case "frac_prevs":
            return library.make_frac_prevs(tokens == given["of"])
        case "shift_by":
            return library.make_shift_by(given["k"], tokens)
        case "detect_pattern":
            return library.make_detect_pattern(tokens, given["pattern"])
        case "reverse":
            return library.make_reverse(tokens)
        case "length":
            return library.make_length()
        case "pair_balance":
            return library.make_pair_balance(tokens, given["open"], given["close"])
        case "shuffle_dyck":
            return library.make_shuffle_dyck(given["pairs"])
        case "hist":
            return library.make_hist()
        case "sort_unique":
            return library.make_sort_unique(tokens, tokens)
        case "sort":
            return library.make_sort(tokens, tokens, max_length=longest)
        case "sort_freq":
            return library.make_sort_freq(longest)
        case "count_less_freq":
            return library.make_count_less_freq(given["limit"])
        case "count":
            return library.make_count(tokens, given["of"])
        case "nary":
            sequences = [SEQUENCES[name] for name in given["of"]]
            return library.make_nary(FUNCTIONS[given["function"]], *sequences)
    raise ValueError(case["program"])


def meant(case: dict[str, Any], text: list[Any]) -> list[Any]:
    """What the program of a case says of a text, in plain Python."""
    return [MEANINGS[case["program"]](text, here, **case["parameters"]) for here in range(len(text))]


def share(flags: list[bool]) -> Fraction:
    return Fraction(sum(flags), len(flags))


def frac_prevs(text: list[Any], here: int, of: str) -> Fraction:
    return share([token == of for token in text[: here + 1]])


def shift_by(text: list[Any], here: int, k: int) -> Any:
    return text[here - k] if here >= k else None


def detect_pattern(text: list[Any], here: int, pattern: str) -> bool | None:
    if here + 1 < len(pattern):
        return None
    return "".join(text[: here + 1]).endswith(pattern)


def reverse(text: list[Any], here: int) -> Any:
    return text[::-1][here]


def pair_balance(text: list[Any], here: int, **pair: str) -> Fraction:
    seen = text[: here + 1]
    return Fraction(seen.count(pair["open"]) - seen.count(pair["close"]), len(seen))


def shuffle_dyck(text: list[Any], here: int, pairs: list[str]) -> int:
    for opening, closing in pairs:
        depth = 0
        for token in text:
            depth += (token == opening) - (token == closing)
            if depth < 0:
                return 0
        if depth:
            return 0
    return 1


def sort(text: list[Any], here: int, **_: str) -> Any:
    return sorted(text)[here]


def sort_freq(text: list[Any], here: int) -> Any:
    return sorted(text, key=lambda token: -text.count(token))[here]


def count_less_freq(text: list[Any], here: int, limit: int) -> int:
    return sum(count for count in Counter(text).values() if count <= limit)


MEANINGS: dict[str, Callable[..., Any]] = {
    "frac_prevs": frac_prevs,
    "shift_by": shift_by,
    "detect_pattern": detect_pattern,
    "reverse": reverse,
    "length": lambda text, here: len(text),
    "pair_balance": pair_balance,
    "shuffle_dyck": shuffle_dyck,
    "hist": lambda text, here: text.count(text[here]),
    "sort_unique": sort,
    "sort": sort,
    "sort_freq": sort_freq,
    "count_less_freq": count_less_freq,
    "count": lambda text, here, of: text.count(of),
    "nary": lambda text, here, **_: 2 * text[here] - here,
}


def random_texts(case: dict[str, Any], count: int) -> list[list[Any]]:
    """Texts of every length, always the same ones; for distinct keys without a token twice."""
    source = random.Random(case["program"])
    texts = []
    for _ in range(count):
        size = source.randint(1, case["max_length"])
        if case["program"] == "sort_unique":
            distinct = min(size, len(case["vocabulary"]))
            texts.append(source.sample(case["vocabulary"], distinct))
        else:
            texts.append(source.choices(case["vocabulary"], k=size))
    return texts


def name(number: int) -> str:
    case = CASES[number]
    return f"{case['program']}-{''.join(map(str, case['input']))}" + "-causal" * case["causal"]
