"""Prompts that Hypothesis makes: of a strategy of one's own, or aimed at thin margins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handcraft.errors import CommandError

Try = Callable[[tuple[int, ...]], float]
"""Try one input; it returns the margin, or raises an error."""


def try_examples(
    texts: Any,
    read: Callable[[Any], tuple[int, ...]],
    attempt: Try,
    *,
    examples: int,
    seed: int,
    aim: bool,
) -> None:
    """Try the inputs that a strategy makes; one that raises an error is shrunk, and its error raised.

    Args:
        texts: the strategy.
        read: from what it makes to the tokens of an input, as places.
        attempt: what is tried with each input.
        examples: how many are made.
        seed: where Hypothesis begins, so that the same are made each time.
        aim: prefer inputs that are like those with the thinnest margins.

    Raises:
        CommandError: Hypothesis is not installed.
    """
    try:
        import hypothesis
    except ImportError:
        raise CommandError(
            "Hypothesis, which makes the prompts, is not installed",
            fix="pip install 'handcraft[testing]'",
        ) from None

    phases = [hypothesis.Phase.generate, hypothesis.Phase.target, hypothesis.Phase.shrink]

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(texts)
    def run(text: Any) -> None:
        margin = attempt(read(text))
        if aim and abs(margin) != float("inf"):
            hypothesis.target(-margin, label="the thinnest margin")

    run()
