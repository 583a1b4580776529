"""What verifying found, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf, isfinite, log10
from typing import Any

from handcraft.display import short_repr
from handcraft.dtype import FLOAT64


@dataclass(frozen=True)
class Failure:
    """An answer that is not what the program means.

    Args:
        context: as text.
        expected: the right token, or the most likely one of a distribution; None if circuits tie.
        answered: the token with the highest logit.
        margin: the logit of the right token minus that of the best wrong one.
        position: the position of the answer in the context, from 0; None at its end.
        broken: the assumption of the program that the context breaks, in words; None for none.
        error: the total variation distance between the distributions; None if the most likely token
            is already wrong.
    """

    context: str
    expected: str | None
    answered: str
    margin: float
    position: int | None = None
    broken: str | None = None
    error: float | None = None

    @property
    def place(self) -> str:
        """Where the answer is, in words."""
        return _in_words(self.context, self.position)


@dataclass(frozen=True)
class Disagreement:
    """A key of a file that other tools read, that contradicts handcraft.json or the tensors.

    Args:
        file: the name of the file.
        key: the key in it, with dots between levels; None where the file as a whole is wrong.
        what: what is wrong with it.
    """

    file: str
    key: str | None
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what if self.key is None else f'{self.key} {self.what}'}"


@dataclass(frozen=True)
class Measured:
    """On how many texts the facts were measured on which the weights rely.

    Args:
        texts: how many texts were run.
        is_all: whether those are all texts of the program; if not, nothing is proved for the others.
    """

    texts: int
    is_all: bool

    @property
    def in_words(self) -> str:
        """On how many texts they were measured."""
        if self.is_all:
            return f"measured on all {self.texts:,} texts of the full length"
        return f"measured on {self.texts:,} texts, and not proved for others"


@short_repr
@dataclass(frozen=True)
class Exercise:
    """How often a sample made one rule decide."""

    rule: str
    place: str | None
    count: int


@short_repr
@dataclass(frozen=True)
class Selected:
    """How often one selection found a source in a sample.

    Args:
        selection: what is read there, as it is written.
        place: where it is written; None where that is not known.
        some: at how many positions it selected at least one source.
        none: at how many it selected none, so that it gave its default.
        always: whether it can never select none.
    """

    selection: str
    place: str | None
    some: int
    none: int
    always: bool


@short_repr
@dataclass(frozen=True)
class Report:
    """What verifying found.

    Args:
        contexts: how many contexts of up to `longest` tokens there are.
        longest: the context length of the program.
        tried: how many of them were tried.
        longer: how many contexts were tried that fill more of the model's positions.
        seed: of the sample; None where every context was tried.
        failed: how many answers were wrong.
        failures: the first of them, each once.
        margin: the smallest logit margin of the right token, or of those that may follow; infinite
            where there is no other.
        margin_context: where it occurs.
        margin_position: at which position of it, from 0; None at its end.
        only_allowed: whether only allowed prompts were tried and counted, since not every text is one.
        windows: how many windows of tokens the rules distinguish, where longer contexts were tried.
        windows_tried: how many of them each of those positions came after.
        window: how many tokens such a window has.
        given: whether only given prompts were tried.
        rules: how often each rule decided in a sample, in their order; of rules alone, not of circuits.
        answers: how often each token was right in a sample, in the order of the vocabulary.
        selections: how often each selection of the rules found a source in a sample.
        counts_rules: whether rules and selections were counted at all: circuits do not say which rule
            decides.
        facts: on how many texts the facts were measured; None if that is not known.
        disagreements: where the files that other tools read contradict handcraft.json; for a folder.
    """

    contexts: int
    longest: int
    tried: int
    longer: int
    seed: int | None
    failed: int
    failures: tuple[Failure, ...]
    margin: float
    margin_context: str
    margin_position: int | None = None
    only_allowed: bool = False
    windows: int = 0
    windows_tried: int = 0
    window: int = 0
    disagreements: tuple[Disagreement, ...] = ()
    given: bool = False
    facts: Measured | None = None
    rules: tuple[Exercise, ...] = ()
    answers: tuple[tuple[str, int], ...] = ()
    selections: tuple[Selected, ...] = ()
    counts_rules: bool = True

    @classmethod
    def without_answers(cls, contexts: int, longest: int, tried: int) -> Report:
        """A report without answers: of a model without logits, or of one that cannot be built."""
        return cls(contexts, longest, tried, 0, 0, 0, (), inf, "")

    @property
    def passed(self) -> bool:
        """Whether every context that was tried is right, and no file disagrees."""
        return self.failed == 0 and not self.disagreements

    @property
    def margin_place(self) -> str:
        """Where the smallest margin occurs, in words."""
        return _in_words(self.margin_context, self.margin_position)

    @property
    def is_exhaustive(self) -> bool:
        """Whether every context was tried."""
        return self.seed is None and not self.given

    @property
    def unexercised(self) -> tuple[Exercise, ...]:
        """The rules that no context of the sample made decide: nothing is known of them."""
        return tuple(each for each in self.rules if not each.count)

    @property
    def never_selected(self) -> tuple[Selected, ...]:
        """The selections that selected no source anywhere in the sample."""
        return tuple(each for each in self.selections if not each.some)

    @property
    def always_selected(self) -> tuple[Selected, ...]:
        """The selections that may select none, and did so nowhere in the sample."""
        return tuple(each for each in self.selections if not each.none and not each.always)

    @property
    def longer_in_words(self) -> str:
        """What the longer contexts show."""
        each = "token" if self.window == 1 else f"window of {self.window} tokens"
        if self.windows_tried == self.windows:
            return f"{self.longer:,} longer contexts: each further position after every {each}"
        count = f"{self.windows:,}" if self.windows < FLOAT64.whole else about(self.windows)
        what = "tokens" if self.window == 1 else f"windows of {self.window} tokens"
        tried = f"{self.windows_tried:,} of {count} {what}"
        return f"{self.longer:,} longer contexts: each further position after {tried}"

    def to_json(self) -> dict[str, Any]:
        """The report as plain data; an infinite margin is null."""
        return {
            "passed": self.passed,
            "contexts": counted(self.contexts),
            "longest": self.longest,
            "tried": self.tried,
            "longer": self.longer,
            "windows": counted(self.windows),
            "windows_tried": self.windows_tried,
            "exhaustive": self.is_exhaustive,
            "seed": self.seed,
            "rules_counted": not self.is_exhaustive and self.counts_rules,
            "rules": [asdict(each) for each in self.rules],
            "answers": dict(self.answers),
            "selections": [asdict(each) for each in self.selections],
            "files": [asdict(found) for found in self.disagreements],
            "facts": asdict(self.facts) if self.facts is not None else None,
            "failed": self.failed,
            "failures": [asdict(each) | {"margin": finite(each.margin)} for each in self.failures],
            "smallest_margin": finite(self.margin),
            "smallest_margin_context": self.margin_context,
            "smallest_margin_position": self.margin_position,
        }


SHOWN_UP_TO = 80
"""How many characters of a context are shown to people; JSON has the whole."""


def _in_words(context: str, position: int | None) -> str:
    shown = repr(context)
    if len(context) > SHOWN_UP_TO:
        shown = f"{len(context):,} characters that end in {context[-SHOWN_UP_TO // 2 :]!r}"
    return f"after {shown}" if position is None else f"at position {position} of {shown}"


def finite(number: float) -> float | None:
    """A number for JSON, which has no infinity."""
    return number if isfinite(number) else None


def counted(number: int) -> int | str:
    """A whole number for JSON: about how large it is where readers of JSON would round it."""
    return number if number < FLOAT64.whole else about(number)


def about(number: int) -> str:
    """A whole number of any size, to three digits.

    >>> about(1_111_111_111_110)
    '1.11e+12'
    """
    power = int(log10(number))
    return f"{10 ** (log10(number) - power):.2f}e+{power:02d}"
