"""What was found: the prompt with the thinnest margin, an agreement, or a disagreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf

from handcraft.display import shorten_value
from handcraft.testing.means.meaning import Reason

RULES = 8
"""How many rules a message counts failures of."""

WIDE = 60
"""The most characters of each of them."""


@dataclass(frozen=True)
class Margin:
    """One answer of a model.

    Args:
        prompt: as text.
        tokens: how many tokens it has.
        position: where in the prompt; None at its end.
        meant: the token that is meant; of several that may follow the likeliest.
        answered: the token with the highest logit.
        runner_up: the token with the highest logit of those that are not meant.
        margin: the logit of what is meant less that of the runner-up.
        logits: of what was answered, of the runner-up and of what is meant.
        reason: what says that it is meant.
        error: of probabilities, the total variation distance; else 0.
    """

    prompt: str
    tokens: int
    position: int | None
    meant: str | None
    answered: str
    runner_up: str
    margin: float
    logits: tuple[float, float, float]
    reason: Reason
    error: float = 0.0

    @property
    def at(self) -> str:
        """Where it is, in words."""
        text = shorten_value(self.prompt)
        return f"after {text}" if self.position is None else f"at position {self.position} of {text}"

    def __str__(self) -> str:
        return (
            f"margin {self.margin:.6g} {self.at}: {self.meant} before {self.runner_up} ({self.reason})"
        )


@dataclass(frozen=True)
class Count:
    """How many prompts a rule decided, and how many of those were answered wrong.

    Args:
        reason: the rule.
        tried: the prompts.
        failed: those that were answered wrong.
    """

    reason: Reason
    tried: int
    failed: int


@dataclass(frozen=True)
class Agreement:
    """A model answered every prompt that was tried as it should.

    Args:
        tried: how many prompts.
        is_all: whether those are all allowed prompts.
        thinnest: the answer with the smallest margin.
        counts: how many prompts each rule decided.
    """

    tried: int
    is_all: bool
    thinnest: Margin
    counts: tuple[Count, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        which = "all" if self.is_all else "a sample"
        prompts = "prompt" if self.tried == 1 else "prompts"
        return f"{self.tried:,} {prompts} ({which}), {self.thinnest}"


class Disagreement(AssertionError):
    """A model does not answer a prompt as it should.

    Args:
        wrong: the answer, after the shortest prompt that was found.
        least_margin: the margin that was asked for.
        tried: how many prompts were tried.
        failed: how many of them were answered wrong.
        is_all: whether all allowed prompts were tried.
        is_shortest: whether every shorter prompt, and every earlier one of its length, is right.
        counts: how many prompts each rule decided, and how many of those failed.
        model: how the model is called.
        explain: gives the text that explains the answer; None where the model cannot be explained.
    """

    __module__ = "handcraft.testing"  # from where it is imported: pytest prints it

    def __init__(
        self,
        wrong: Margin,
        *,
        least_margin: float = 0.0,
        tried: int,
        failed: int,
        is_all: bool,
        is_shortest: bool,
        counts: Mapping[Reason, Count],
        model: str,
        explain: Callable[[], str] | None = None,
    ) -> None:
        self.wrong = wrong
        self.least_margin = least_margin
        self.tried, self.failed, self.is_all = tried, failed, is_all
        self.is_shortest = is_shortest
        self.counts = tuple(counts.values())
        self.model = model
        self.explain = explain
        super().__init__(self._text())

    def __reduce__(self) -> tuple[object, ...]:
        """What another process gets: the same, without the model that could explain it."""
        return _again, ({**vars(self), "explain": None},)

    def _text(self) -> str:
        wrong = self.wrong
        lines = [self._what(), f"  where:  {wrong.reason}", f"  margin: {self._margin()}"]
        shortest = "no shorter prompt fails" if self.is_shortest else "a shorter one may fail too"
        tokens = f"{wrong.tokens} tokens; {shortest}" if wrong.tokens > 1 else "1 token"
        lines.append(f"  prompt: {tokens}")
        which = "all there are" if self.is_all else "a sample"
        lines.append(f"  failed: {self.failed:,} of {self.tried:,} prompts ({which})")
        lines += self._by_rule()
        return "\n".join(lines)

    def _what(self) -> str:
        wrong = self.wrong
        if wrong.meant is None:
            return f"{wrong.at} two tokens are meant alike; {self.model} answers {wrong.answered!r}"
        if wrong.error and wrong.margin > 0:
            return f"{wrong.at} {self.model} gives other probabilities than are meant"
        if wrong.margin > 0:
            return (
                f"{wrong.at} the margin is {wrong.margin:.6g}, and {self.least_margin:g} is asked for"
            )
        if wrong.margin == 0:
            tie = f"{wrong.meant!r}, which is meant, and {wrong.runner_up!r}"
            return f"{wrong.at} {self.model} has a tie of {tie}"
        return f"{wrong.at} {self.model} answers {wrong.answered!r}, and {wrong.meant!r} is meant"

    def _margin(self) -> str:
        wrong = self.wrong
        if wrong.meant is None or wrong.margin == inf:
            return f"{wrong.margin:g}"
        _, rival, right = wrong.logits
        said = f"{wrong.margin:.6g}: logit {right:.6g} of {wrong.meant!r}, "
        said += f"{rival:.6g} of {wrong.runner_up!r}"
        return f"{said}; probabilities differ by {wrong.error:.3g}" if wrong.error else said

    def _by_rule(self) -> list[str]:
        if len(self.counts) < 2:
            return []
        shown = sorted(self.counts, key=lambda count: -count.failed)[:RULES]
        numbers = [
            (f"{count.failed:,}", f"{count.tried:,}", _short(count.reason.what)) for count in shown
        ]
        wide, wider = (max(len(row[i]) for row in numbers) for i in (0, 1))
        lines = [
            f"          {f:>{wide}} of {t:>{wider}} where {rule} decides" for f, t, rule in numbers
        ]
        more = len(self.counts) - len(shown)
        return [*lines, f"          and {more:,} more rules"] if more else lines


def _short(rule: str) -> str:
    return rule if len(rule) <= WIDE else f"{rule[: WIDE - 4]} ..."


def _again(fields: dict[str, object]) -> Disagreement:
    made = Disagreement.__new__(Disagreement)
    vars(made).update(fields)
    made.args = (made._text(),)
    return made
