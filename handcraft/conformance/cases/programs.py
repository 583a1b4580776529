"""Cases of compiled programs: every answer is defined by rules, and margins are large."""

from __future__ import annotations

import random
from collections.abc import Iterator

from handcraft.conformance.cases.planned import Planned, exactly, split
from handcraft.conformance.cases.request import Request
from handcraft.conformance.models.beams import best_text
from handcraft.conformance.models.compiled import PROGRAMS, answers_to
from handcraft.language import Program

SEED = 16


def program_cases() -> Iterator[Planned]:
    """What an engine answers after texts of a program, however it runs them."""
    draw = random.Random(SEED)
    for name, (make, _) in PROGRAMS.items():
        yield from _of_program(name, make(), draw)
    yield from _beams()


def _of_program(name: str, program: Program, draw: random.Random) -> Iterator[Planned]:
    vocabulary = program.vocabulary
    letters = vocabulary.tokens

    def text(length: int) -> str:
        return "".join(draw.choice(letters) for _ in range(length))

    for number in range(4):
        prompt = text(program.context)
        yield Planned(
            f"{name}-every-{number}",
            "the answer at every position of a random text",
            ("programs", "every-position"),
            name,
            Request("every", (vocabulary.ids(prompt),)),
            (exactly(vocabulary.ids(answers_to(program, prompt))),),
        )
    prompt = text(12)
    right = vocabulary.ids(answers_to(program, prompt))
    for first in range(1, 12):
        yield Planned(
            f"{name}-split-{first}",
            f"a text with its first {first} tokens in the cache",
            ("programs", "cache"),
            name,
            Request("pieces", (vocabulary.ids(prompt),), pieces=split(12, first)),
            (exactly([right[first - 1], right[-1]]),),
        )
    rows = [text(length) for length in (5, 1, 11, 8, 2)]
    for order, batch in (("forward", rows), ("backward", rows[::-1])):
        yield Planned(
            f"{name}-batch-{order}",
            "texts of different lengths in one batch",
            ("programs", "left-padding", "batch"),
            name,
            Request("batch", tuple(vocabulary.ids(row) for row in batch)),
            tuple(exactly(vocabulary.ids([program.meaning(row)])) for row in batch),
        )
    rows = [text(length) for length in (4, 2, 6)]
    count = 10
    yield Planned(
        f"{name}-generated",
        f"{count} tokens after each text of a batch",
        ("programs", "left-padding", "batch", "cache", "generation"),
        name,
        Request("generate", tuple(vocabulary.ids(row) for row in rows), new_tokens=count),
        tuple(exactly(vocabulary.ids(_continued(program, row, count))) for row in rows),
    )
    yield Planned(
        f"{name}-encoded",
        "the ids of a text; nothing is put around it",
        ("tokenizer",),
        name,
        Request("encode", text=prompt),
        (exactly(vocabulary.ids(prompt)),),
    )


def _continued(program: Program, text: str, count: int) -> str:
    start = len(text)
    for _ in range(count):
        text += program.meaning(text)
    return text[start:]


def _beams() -> Iterator[Planned]:
    ids = {token: place for place, token in enumerate("sabcd")}
    for beams, length in ((2, 2), (2, 4), (3, 3)):
        yield Planned(
            f"beams-{beams}-tokens-{length}",
            f"the best text of {length} tokens with {beams} beams; greedy generation gives another",
            ("beams", "cache", "generation"),
            "beams",
            Request("beams", ((0,),), new_tokens=length, beams=beams),
            (exactly(ids[token] for token in best_text("s", length)),),
        )
    yield Planned(
        "beams-greedy",
        "greedy generation of the same",
        ("cache", "generation"),
        "beams",
        Request("generate", ((0,),), new_tokens=4),
        (exactly([1, 1, 1, 1]),),
    )
