"""How far all weights of a model may move at once before the proof of its answers fails."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from handcraft_check.attempts import BUDGETS
from handcraft_check.prove import prove
from handcraft_check.verdict import Verdict

LEAST, PARTS = 30, 8
"""Radii from 2^-30 on are tried, and eighths between two powers of two."""


def prove_radius(
    folder: Path | str,
    *,
    certificate: Path | None = None,
    rehash: bool = False,
    regime: str | None = None,
    context: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
    executor: Executor | None = None,
) -> tuple[float, Verdict]:
    """The largest radius at which a proof was found, and its verdict.

    Every weight w may become any number between w (1 - radius) and w (1 + radius), each on its own, and
    the answers stay. A weight of 0 stays 0. The radius is found by bisection; the answers may well stay
    beyond it. It is 0 where the smallest one fails, and the verdict is that of the model itself.

    Args:
        folder: a Hugging Face GPT-2 directory, or one with a model.safetensors.
        certificate: a file, in place of that in the folder.
        rehash: whether to take the files as they are, whatever hashes the certificate has.
        regime: the name of one, in place of that of the certificate.
        context: the most tokens of a context, in place of that of the certificate.
        progress: called with what is going on, from time to time.
        executor: decides parts of each proof, as in `prove`.

    Raises:
        CheckError: the folder cannot be judged.
    """

    def tried(radius: float, budget: int) -> Verdict:
        progress(f"radius {radius:g}")
        return prove(
            folder,
            certificate=certificate,
            rehash=rehash,
            regime=regime,
            context=context,
            radius=radius,
            budget=budget,
            progress=progress,
            executor=executor,
        )

    best, found = 0.0, tried(0.0, BUDGETS[-1])
    if found.word != "proved":
        return best, found
    budget = next((each for each in BUDGETS if each >= 4 * found.cases), BUDGETS[-1])
    low, high = -LEAST - 1, 0  # of the power of two: the first fails by agreement, as does 1
    while high - low > 1:
        power = (low + high) // 2
        verdict = tried(2.0**power, budget)
        if verdict.word == "proved":
            low, best, found = power, 2.0**power, verdict
        else:
            high = power
    if not best:
        return best, found
    step = best / PARTS
    less, more = 0, PARTS
    while more - less > 1:
        part = (less + more) // 2
        verdict = tried(2.0**low + part * step, budget)
        if verdict.word == "proved":
            less, best, found = part, 2.0**low + part * step, verdict
        else:
            more = part
    return best, found
