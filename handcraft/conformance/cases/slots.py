"""Cases of the recall model: slots at the edges of pages, in one run, in pieces and in batches."""

from __future__ import annotations

from collections.abc import Iterator

from handcraft.conformance.cases.planned import Planned, exactly, split, where_known
from handcraft.conformance.cases.request import Request
from handcraft.conformance.faults.caches import PAGES
from handcraft.conformance.models.recall import SLOTS, answers_to, prompt_for, token_in

MODEL = "recall"

CHAIN = 10
"""How many slots a chain reads."""


def slot_cases() -> Iterator[Planned]:
    """What an engine reads from its cache."""
    for page in PAGES:
        yield from _around(page)
    yield from _pieces()
    yield from _batches()
    yield from _chains()
    prompt = prompt_for(3, 120)
    yield Planned(
        "recall-every",
        "the logits at every position; each names the slot of its own token",
        ("pages", "every-position"),
        MODEL,
        Request("every", (prompt,)),
        (where_known(answers_to(prompt)),),
    )


def _around(page: int) -> Iterator[Planned]:
    """Slots at both sides of the first edge of a page, and the first one."""
    length = min(page + page // 2, page + 24)
    slots = {0, page - 2, page - 1, page, page + 1} if page < SLOTS else {0, page - 2, page - 1}
    for slot in sorted(slots):
        yield Planned(
            f"recall-page-{page}-slot-{slot}",
            f"slot {slot} of {length}, where pages of {page} tokens begin and end",
            ("pages", f"page-{page}"),
            MODEL,
            Request("next", (prompt_for(slot, length),)),
            (exactly([token_in(slot)]),),
        )


def _pieces() -> Iterator[Planned]:
    for page in PAGES[:-1]:
        length, slot = page + 8, page - 1
        for first in (1, page - 1, page, page + 1):
            yield _in_pieces(f"recall-page-{page}-split-{first}", length, slot, split(length, first))
    for chunk in (16, 64):
        length = 3 * chunk + 5
        yield _in_pieces(f"recall-chunks-of-{chunk}", length, chunk + 3, split(length, chunk, chunk))
    length = 20
    for first in range(1, length):
        yield _in_pieces(f"recall-split-{first}", length, 6, split(length, first))
    yield _in_pieces("recall-token-by-token", length, 6, (1,) * length)
    yield _in_pieces("recall-last-cached", length, length - 2, split(length, length - 1))


def _in_pieces(name: str, length: int, slot: int, pieces: tuple[int, ...]) -> Planned:
    """A prompt in pieces; every piece has to answer with the slot of its own last token."""
    prompt = prompt_for(slot, length)
    known = answers_to(prompt)
    ends = [sum(pieces[: count + 1]) - 1 for count in range(len(pieces))]
    shown = ", ".join(map(str, pieces)) if len(pieces) < 6 else f"{pieces[0]} each"
    return Planned(
        name,
        f"slot {slot} of {length} tokens that are given in pieces of {shown}",
        ("pages", "cache"),
        MODEL,
        Request("pieces", (prompt,), pieces=pieces),
        (where_known([known[end] for end in ends]),),
    )


def _batches() -> Iterator[Planned]:
    batches: dict[str, tuple[tuple[int, int], ...]] = {
        "same-slot": ((2, 12), (2, 15), (2, 13)),
        "same-length": ((1, 10), (7, 10), (4, 10), (8, 10)),
        "uneven": ((0, 40), (3, 7), (20, 33), (1, 4)),
        "short-after-long": ((1, 70), (1, 3)),
        "alone": ((5, 9),),
        "first-slots": ((0, 5), (1, 5), (9, 30)),
    }
    for name, rows in batches.items():
        shown = ", ".join(f"{slot} of {length}" for slot, length in rows)
        yield Planned(
            f"recall-batch-{name}",
            f"one batch of rows that ask for slot {shown}; a row reads only its own slots",
            ("left-padding", "batch"),
            MODEL,
            Request("batch", tuple(_row(row, *each) for row, each in enumerate(rows))),
            tuple(exactly([_row(row, *each)[each[0]]]) for row, each in enumerate(rows)),
        )


def _row(row: int, slot: int, length: int) -> tuple[int, ...]:
    """A prompt whose tokens no other row of the batch has."""
    return (*(token_in((i + 200 * row) % SLOTS) for i in range(length - 1)), slot)


def _chains() -> Iterator[Planned]:
    """Generation: the token in a slot names the next slot, so every step reads somewhere else."""
    batches = {"short": (5, (11,)), "long": (47, (310,)), "batch": (5, (9, 23, 14))}
    for name, (stride, lengths) in batches.items():
        prompts = tuple(tuple((i + stride) % length for i in range(length)) for length in lengths)
        yield Planned(
            f"recall-chain-{name}",
            "every token that is generated names the slot to read next",
            ("pages", "cache", "generation", *(("batch", "left-padding") if len(lengths) > 1 else ())),
            MODEL,
            Request("generate", prompts, new_tokens=CHAIN),
            tuple(exactly(_chain(prompt, CHAIN)) for prompt in prompts),
        )


def _chain(prompt: tuple[int, ...], steps: int) -> list[int]:
    found = [prompt[prompt[-1]]]
    while len(found) < steps:
        found.append(prompt[found[-1]])
    return found
