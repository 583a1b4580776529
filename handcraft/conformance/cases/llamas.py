"""Cases of Llamas: rotation, query groups, windows, gauges, programs; with the begin token first."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from handcraft.conformance.cases.planned import Accepted, Planned, Right, exactly, split
from handcraft.conformance.cases.request import Kind, Request
from handcraft.conformance.layout.gauge import FURTHEST, MARKS
from handcraft.conformance.models.compiled import LLAMA_PROGRAMS, PROGRAMS, answers_to
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.conformance.models.llama.frequencies import LAST
from handcraft.conformance.models.llama.groups import SIZES
from handcraft.conformance.models.llama.rope import TOKENS as ROPE_TOKENS
from handcraft.conformance.models.llama.window import SIZES as WINDOWS
from handcraft.conformance.models.llama.window import Size
from handcraft.conformance.models.llama.window import answers_to as oldest

SEED = 17

Models = Mapping[str, Diagnostic]

ANY: tuple[Accepted, ...] = ((),)
"""What is right at the begin token."""


def llama_cases(models: Models, rope_prompt: Sequence[int]) -> Iterator[Planned]:
    """What only a Llama can get wrong, and the programs of which there is a Llama."""
    yield from _rope(models["rope"], tuple(rope_prompt))
    yield from _groups(models)
    for name, size in WINDOWS.items():
        yield from _window(models[name], size)
    yield from _gauges(models)
    yield from _frequencies(models["frequencies"])
    draw = random.Random(SEED)
    for name in LLAMA_PROGRAMS:
        yield from _of_program(name, models[f"llama-{name}"], draw)


def _begun(model: Diagnostic, tokens: Sequence[int]) -> tuple[int, ...]:
    begin = model.model.begin_id
    assert begin is not None
    return (begin, *tokens)


def _rope(model: Diagnostic, prompt: tuple[int, ...]) -> Iterator[Planned]:
    right = exactly([ROPE_TOKENS.index("ok")])
    ids = _begun(model, prompt)
    runs: dict[str, tuple[Kind, tuple[int, ...], Right]] = {
        "prefill": ("next", (), (right,)),
        "last-cached": ("pieces", split(len(ids), len(ids) - 1), ((*ANY, *right),)),
        "chunks-of-8": ("pieces", split(len(ids), 8, 8), ((*(ANY * 4), *right),)),
    }
    for name, (kind, pieces, answers) in runs.items():
        yield Planned(
            f"rope-{name}",
            "how queries and keys are rotated; the answer names the fault",
            ("rope", *(("cache",) if pieces else ())),
            "rope",
            Request(kind, (ids,), pieces),
            answers,
        )
    short = ids[:5]
    yield Planned(
        "rope-batch",
        "the same beside a shorter prompt, so that the shorter one is padded",
        ("rope", "left-padding", "batch"),
        "rope",
        Request("batch", (ids, short)),
        (right, ANY),
    )


def _groups(models: Models) -> Iterator[Planned]:
    for heads, kv_heads in SIZES:
        model = models[f"groups-{heads}-{kv_heads}"]
        yield Planned(
            f"groups-{heads}-{kv_heads}",
            f"which of {kv_heads} key and value heads query head 1 of {heads} reads",
            ("query-groups",),
            model.name,
            Request("next", (_begun(model, model.ids("p r x")),)),
            (exactly(model.ids("ok")),),
        )


def _window(model: Diagnostic, size: Size) -> Iterator[Planned]:
    window, count, name = size.window, size.tokens - 1, model.name
    ids = _begun(model, range(count))
    right = (*ANY, *exactly(oldest(count, window)))
    yield Planned(
        f"{name}-every",
        f"the oldest token in a window of {window}, at every position",
        ("window", "every-position"),
        name,
        Request("every", (ids,)),
        (right,),
    )
    for length in (window - 1, window, window + 1, count):
        yield Planned(
            f"{name}-of-{length}",
            f"the oldest of {length} tokens in a window of {window}",
            ("window",),
            name,
            Request("next", (_begun(model, range(length)),)),
            (exactly([max(0, length - window)]),),
        )
    ways = {"token-by-token": (2, 1), "chunks-of-4": (4, 4), "prefill-and-one": (len(ids) - 1, 1)}
    for way, (first, then) in ways.items():
        pieces = split(len(ids), first, then)
        ends = [sum(pieces[: number + 1]) - 1 for number in range(len(pieces))]
        yield Planned(
            f"{name}-{way}",
            f"the same in pieces of {first} and then {then}, with a cache",
            ("window", "cache"),
            name,
            Request("pieces", (ids,), pieces),
            (tuple(right[end] for end in ends),),
        )
    rows = (window + window // 2 - 1, 3, window + 1)
    yield Planned(
        f"{name}-batch",
        "prompts of different lengths in one batch",
        ("window", "left-padding", "batch"),
        name,
        Request("batch", tuple(_begun(model, range(row)) for row in rows)),
        tuple(exactly([max(0, row - window)]) for row in rows),
    )


def _gauges(models: Models) -> Iterator[Planned]:
    gauges = {
        "llama-scale": ("hi lo", "+0", "attention"),
        "llama-activation": ("x", "+0", "mlp"),
        "llama-norm": ("c x", "+0", "norms"),
        "llama-norm-mean": ("c m", "+0", "norms"),
        "llama-norm-small": ("c y", f"-{FURTHEST}", "norms"),
    }
    for name, (text, mark, flag) in gauges.items():
        model = models["llama-norm" if name.startswith("llama-norm") else name]
        yield Planned(
            name,
            f"{model.computes}, in marks from -{FURTHEST} to +{FURTHEST}",
            (flag, "gauge"),
            model.name,
            Request("next", (_begun(model, model.ids(text)),)),
            (exactly([MARKS.index(mark)]),),
        )


def _frequencies(model: Diagnostic) -> Iterator[Planned]:
    """One prompt at once, and with all but its last token in the cache."""
    x, fill = model.ids("x fill")
    ids = _begun(model, (*(fill,) * (LAST - 1), x))
    right = exactly([MARKS.index("+0")])
    runs: dict[str, tuple[Kind, tuple[int, ...], Right]] = {
        "prefill": ("next", (), (right,)),
        "last-cached": ("pieces", split(len(ids), len(ids) - 1), ((*ANY, *right),)),
    }
    for name, (kind, pieces, answers) in runs.items():
        yield Planned(
            f"frequencies-{name}",
            f"by which angle a query is rotated at position {LAST}",
            ("rope", "gauge", *(("cache",) if pieces else ())),
            model.name,
            Request(kind, (ids,), pieces),
            answers,
        )


def _of_program(name: str, model: Diagnostic, draw: random.Random) -> Iterator[Planned]:
    program = PROGRAMS[name][0]()
    vocabulary = program.vocabulary

    def text(length: int) -> str:
        return "".join(draw.choice(vocabulary.tokens) for _ in range(length))

    def ids(prompt: str) -> tuple[int, ...]:
        return _begun(model, vocabulary.ids(prompt))

    for number in range(3):
        prompt = text(program.context)
        yield Planned(
            f"llama-{name}-every-{number}",
            "the answer at every position of a random text",
            ("programs", "every-position"),
            model.name,
            Request("every", (ids(prompt),)),
            ((*ANY, *exactly(vocabulary.ids(answers_to(program, prompt)))),),
        )
    prompt = text(12)
    right = vocabulary.ids(answers_to(program, prompt))
    for first in range(2, 13):
        yield Planned(
            f"llama-{name}-split-{first}",
            f"a text with the begin token and {first - 1} others in the cache",
            ("programs", "cache"),
            model.name,
            Request("pieces", (ids(prompt),), split(13, first)),
            (exactly([right[first - 2], right[-1]]),),
        )
    rows = [text(length) for length in (5, 1, 11, 8, 2)]
    yield Planned(
        f"llama-{name}-batch",
        "texts of different lengths in one batch",
        ("programs", "left-padding", "batch"),
        model.name,
        Request("batch", tuple(map(ids, rows))),
        tuple(exactly(vocabulary.ids([program.meaning(row)])) for row in rows),
    )
    yield Planned(
        f"llama-{name}-encoded",
        "the ids of a text, after the begin token",
        ("tokenizer",),
        model.name,
        Request("encode", text=prompt),
        (exactly(ids(prompt)),),
    )
