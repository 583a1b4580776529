"""Programs of the RASP literature: worked cases, and random inputs against what each says in words."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from time import perf_counter
from typing import Any

import pytest
from rasp_cases import CASES, MEANINGS, meant, name, program, random_texts

from handcraft import rasp
from handcraft.rasp import library, tokens


@lru_cache
def built(number: int) -> rasp.BuiltSequence:
    case = CASES[number]
    return rasp.build(program(case), case["vocabulary"], case["max_length"], case["causal"])


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
