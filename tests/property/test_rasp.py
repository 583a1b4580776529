"""Programs of the RASP literature: worked cases, and random inputs against what each says in words."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

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


@lru_cache
def built(number: int) -> rasp.BuiltSequence:
    case = CASES[number]
    return rasp.build(program(case), case["vocabulary"], case["max_length"], case["causal"])


def name(number: int) -> str:
    case = CASES[number]
    return f"{case['program']}-{''.join(map(str, case['input']))}" + "-causal" * case["causal"]


each_case = pytest.mark.parametrize("number", range(len(CASES)), ids=name)


@each_case
def test_a_worked_case_holds(number):
    case = CASES[number]
    found = rasp.evaluate(program(case), case["input"], causal=case["causal"])
    assert built(number).trace(case["input"]) == found
    assert found == [exact(value) for value in case["expected"]]


def exact(value: Any) -> Any:
    """A float of the worked cases as the fraction that it stands for."""
    return Fraction(value).limit_denominator(100) if isinstance(value, float) else value


@each_case
def test_random_inputs_mean_what_the_words_say(number):
    case = CASES[number]
    sequence = program(case)
    for text in random_texts(case, 200):
        expected = meant(case, text)
        assert rasp.evaluate(sequence, text, causal=case["causal"]) == expected, text
        assert built(number).trace(text) == expected, text


@each_case
def test_the_expressions_have_values_of_their_domain_only(number):
    case, expressions = CASES[number], built(number)
    for text in random_texts(case, 50):
        found = [value for value in expressions.trace(text) if value is not None]
        assert all(value in expressions.value.domain for value in found), text


def test_all_programs_of_the_library_are_tried():
    made = {made.removeprefix("make_") for made in vars(library) if made.startswith("make_")}
    assert made == {case["program"] for case in CASES} == set(MEANINGS)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_what_is_proved_of_selections_leaves_no_presence_to_compute(size):
    """Reverse and sort read exactly one position, whatever the text."""
    for sequence in (
        library.make_reverse(tokens),
        library.make_sort(tokens, tokens, max_length=size),
        library.make_sort(tokens, -tokens, max_length=size),
        library.make_sort_freq(size),
    ):
        found = rasp.build(sequence, [1, 2, 3], max_length=size)
        assert found.present is None
        assert found.value.domain.values == (1, 2, 3)


def test_evaluating_is_quick():
    case = next(case for case in CASES if case["program"] == "sort_freq")
    sequence = program(case)
    best = min(_seconds(sequence, case["input"]) for _ in range(20))
    assert best < 0.001


def _seconds(sequence: rasp.SOp, text: list[Any]) -> float:
    begin = perf_counter()
    rasp.evaluate(sequence, text)
    return perf_counter() - begin
