"""Cases of what a network computes: two hops, scales, activations, norms, the unembedding."""

from __future__ import annotations

from collections.abc import Iterator

from handcraft.conformance.cases.planned import Accepted, Planned, exactly, split
from handcraft.conformance.cases.request import Request
from handcraft.conformance.layout.gauge import FURTHEST, MARKS, mark_of
from handcraft.conformance.models import hops, scale, untied

PROMPTS = (
    (3, 5, 1, 0, 2, 9, 4, 6, 1),
    (9, 2, 7, 1, 12, 0, 3, 15, 4, 10, 8, 0),
    (1, 0),
    (15,),
    tuple((5 * i + 3) % 16 for i in range(16)),
)


def network_cases() -> Iterator[Planned]:
    """What an engine computes in blocks, norms and heads."""
    yield from _hops()
    yield from _gauges()
    yield from _unembedding()


def _hops() -> Iterator[Planned]:
    for number, prompt in enumerate(PROMPTS):
        yield Planned(
            f"hops-every-{number}",
            "two blocks, each of which reads a slot; slots that come later count as slot 0",
            ("masks", "blocks", "every-position"),
            "hops",
            Request("every", (prompt,)),
            (exactly(hops.answers_to(prompt)),),
        )
    prompt = PROMPTS[1]
    right = hops.answers_to(prompt)
    for first in range(1, len(prompt)):
        yield Planned(
            f"hops-split-{first}",
            f"the same with the first {first} tokens in the cache of both blocks",
            ("masks", "blocks", "cache"),
            "hops",
            Request("pieces", (prompt,), pieces=split(len(prompt), first)),
            (exactly([right[first - 1], right[-1]]),),
        )
    yield Planned(
        "hops-chunks-of-3",
        "the same in pieces of 3 tokens",
        ("masks", "blocks", "cache"),
        "hops",
        Request("pieces", (prompt,), pieces=split(len(prompt), 3, 3)),
        (exactly(right[2::3]),),
    )
    for name, rows in {"uneven": PROMPTS[:4], "turned": PROMPTS[3::-1]}.items():
        yield Planned(
            f"hops-batch-{name}",
            "two blocks, in a batch of prompts of different lengths",
            ("blocks", "left-padding", "batch"),
            "hops",
            Request("batch", tuple(rows)),
            tuple(exactly(hops.answers_to(row)[-1:]) for row in rows),
        )


def _mark(text: str) -> Accepted:
    return (MARKS.index(text),)


def _gauges() -> Iterator[Planned]:
    first = len(MARKS)
    hi, mid, lo = range(first, first + 3)
    far = mark_of(1 / (1 + 2.718281828 ** (-1 / 16)) - scale.RIGHT, 1 / scale.STEPS)
    for name, prompt, right in (("hi", (hi, lo), "+0"), ("mid", (mid, lo), far)):
        yield Planned(
            f"scale-{name}",
            f"the attention weight of `{name}`, in marks of 1/{scale.STEPS}",
            ("attention", "gauge"),
            "scale",
            Request("next", (prompt,)),
            ((_mark(right),),),
        )
    for number, token in enumerate(("fine", "coarse")):
        yield Planned(
            f"activation-{token}",
            "the activation of the MLP at -2.25",
            ("mlp", "gauge"),
            "activation",
            Request("next", ((first + number,),)),
            ((_mark("+0"),),),
        )
    norms = [(f"epsilon-{place}", token) for place in "12f" for token in (0, 1)]
    for model, number in (*norms, ("centring", 0)):
        yield Planned(
            f"{model}-{'xy'[number]}",
            f"what a norm gives, in marks from -{FURTHEST} to +{FURTHEST}",
            ("norms", "gauge"),
            model,
            Request("next", ((first + number,) * 2,)),
            ((_mark(("+0", f"-{FURTHEST}")[number]),),),
        )


def _unembedding() -> Iterator[Planned]:
    prompt = tuple(range(untied.TOKENS))
    yield Planned(
        "untied-every",
        "the unembedding is a matrix of its own; one answer is a tie, in which either is right",
        ("unembedding", "ties", "every-position"),
        "untied",
        Request("every", (prompt,)),
        (tuple(untied.answers_to(token) for token in prompt),),
    )
    yield Planned(
        "untied-tie",
        "two tokens have the same logit; either is right",
        ("unembedding", "ties"),
        "untied",
        Request("next", ((untied.TOKENS - untied.FURTHER,),)),
        ((untied.TWINS,),),
    )
