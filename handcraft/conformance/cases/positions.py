"""Cases of the position model: padding, batches, pieces, long texts, ends of texts."""

from __future__ import annotations

from collections.abc import Iterator

from handcraft.conformance.cases.planned import Planned, exactly, split
from handcraft.conformance.cases.request import Request
from handcraft.conformance.models.position import POSITIONS

MODEL = "position"


def position_cases() -> Iterator[Planned]:
    """What an engine takes for the position of a token."""
    yield from _alone()
    yield from _batches()
    yield from _pieces()
    yield from _generated()


def _prompt(length: int) -> tuple[int, ...]:
    """Tokens that are far from the positions where they are."""
    return tuple((i * 37 + 501) % POSITIONS for i in range(length))


def _alone() -> Iterator[Planned]:
    for length in (1, 2, 17, 300, POSITIONS):
        yield Planned(
            f"position-last-{length}",
            f"the position of the last of {length} tokens",
            ("positions",),
            MODEL,
            Request("next", (_prompt(length),)),
            (exactly([length - 1]),),
        )
    yield Planned(
        "position-every-40",
        "the logits at every position, each of which names it",
        ("positions", "every-position"),
        MODEL,
        Request("every", (_prompt(40),)),
        (exactly(range(40)),),
    )


def _batches() -> Iterator[Planned]:
    batches = {
        "one-shorter": (4, 7),
        "one-longer": (7, 4),
        "four": (1, 9, 5, 30),
        "equal": (6, 6, 6),
        "long": (3, 260, 513),
    }
    for name, lengths in batches.items():
        yield Planned(
            f"position-batch-{name}",
            f"prompts of {', '.join(map(str, lengths))} tokens in one batch; padding has no position",
            ("positions", "left-padding", "batch"),
            MODEL,
            Request("batch", tuple(_prompt(length) for length in lengths)),
            tuple(exactly([length - 1]) for length in lengths),
        )
    yield Planned(
        "position-batch-generated",
        "generation in a batch goes on from the last position of each row",
        ("positions", "left-padding", "batch", "cache", "generation"),
        MODEL,
        Request("generate", (_prompt(3), _prompt(8), _prompt(5)), new_tokens=6),
        tuple(exactly(range(length - 1, length + 5)) for length in (3, 8, 5)),
    )


def _pieces() -> Iterator[Planned]:
    length = 9
    for first in range(1, length):
        yield _in_pieces(f"position-split-{first}", length, split(length, first))
    yield _in_pieces("position-token-by-token", length, (1,) * length)
    yield _in_pieces("position-chunks-of-3", length, (3, 3, 3))
    yield _in_pieces("position-chunks-of-256", 600, split(600, 256, 256))


def _in_pieces(name: str, length: int, pieces: tuple[int, ...]) -> Planned:
    ends = [sum(pieces[: count + 1]) - 1 for count in range(len(pieces))]
    shown = ", ".join(map(str, pieces))
    return Planned(
        name,
        f"{length} tokens in pieces of {shown}: a piece goes on where the cache ends",
        ("positions", "cache"),
        MODEL,
        Request("pieces", (_prompt(length),), pieces=pieces),
        (exactly(ends),),
    )


def _generated() -> Iterator[Planned]:
    yield Planned(
        "position-ids-as-ends",
        "the model counts from p0 on; ids 0, 1 and 2 are tokens like others and end nothing",
        ("generation", "cache", "end-of-text"),
        MODEL,
        Request("generate", ((900,),), new_tokens=12),
        (exactly(range(12)),),
    )
    yield Planned(
        "position-ends-where-asked",
        "generation stops at the id that is given as the end of a text",
        ("generation", "end-of-text"),
        MODEL,
        Request("generate", ((900,),), new_tokens=12, end=5),
        (exactly(range(6)),),
    )
    yield Planned(
        "position-to-the-last-id",
        "the model counts up to its last token, whose id ends nothing",
        ("generation", "cache", "end-of-text"),
        MODEL,
        Request("generate", (_prompt(POSITIONS - 4),), new_tokens=4),
        (exactly(range(POSITIONS - 5, POSITIONS - 1)),),
    )
    yield Planned(
        "position-long-generation",
        f"{POSITIONS - 2} tokens one after the other, each with its own position",
        ("generation", "cache", "long"),
        MODEL,
        Request("generate", ((900,),), new_tokens=POSITIONS - 2),
        (exactly(range(POSITIONS - 2)),),
    )
