"""Does a model compute the values that expressions, or circuits, mean? All texts, or a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Circuits
from handcraft.circuits.ideal import ideal_stream
from handcraft.compiler.values.output import Output
from handcraft.compiler.values.value_model import BATCH, ValueModel
from handcraft.display import short_repr
from handcraft.errors import AssumptionError
from handcraft.language import Prompts
from handcraft.language.graph.domain import Value, json_value, show_value
from handcraft.language.graph.node import Node
from handcraft.language.oracle.interpret import interpret
from handcraft.language.sequences.expression import Expression
from handcraft.limits import SAMPLE as SAMPLE_UP_TO
from handcraft.progress import advance
from handcraft.verify.divide import in_order
from handcraft.verify.given import read_prompts
from handcraft.verify.report import Disagreement, counted, finite
from handcraft.verify.tally import SHOWN
from handcraft.verify.texts.allowed import drawn_texts, inputs_of, is_restricted
from handcraft.vocabulary import Vocabulary

Ids = npt.NDArray[np.int64]

EVERY_UP_TO = 10_000
"""The largest number of texts that are all tried."""

SAMPLE = 1_000
"""How many texts are drawn where there are more."""

CELLS = 4_000_000
"""About how many pairs of positions are compared: both meanings are exact, and take a minute."""

FEWEST = 8
"""How many texts are drawn of the longest, whatever that takes."""

Line = Sequence[Value]
Meaning = Callable[[Ids], Iterable["Mapping[str, Line] | str"]]
"""Places of tokens, [text, position] -> of each text the values of every output, or why it has none."""


@dataclass(frozen=True)
class WrongValue:
    """A wrong value.

    Args:
        output: its name; None where the text has no meaning.
        text: the text.
        position: where in it, from 0.
        expected: the right value.
        found: the value of the model.
        broken: the assumption that the text breaks, in words; None for none.
    """

    output: str | None
    text: str
    position: int | None = None
    expected: Value = None
    found: Value = None
    broken: str | None = None

    def __str__(self) -> str:
        if self.broken is not None:
            return f"{self.text!r} breaks an assumption: {self.broken}"
        found = f"{self.found:g}" if isinstance(self.found, float) else show_value(self.found)
        place = f"at position {self.position} of {self.text!r}"
        return f"{self.output} {place}: {found}, and {show_value(self.expected)} is right"


@dataclass
class OutputReport:
    """The result for one output.

    Args:
        name: of the output.
        bound: the error bound of its number, proved when it was compiled.
        wrong: how many values were wrong.
        worst: the largest error of a number. A value that is not a number counts as its index among
            the values of the output.
    """

    name: str
    bound: float
    wrong: int = 0
    worst: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether all values were right, and no error exceeded the proved bound."""
        return not self.wrong and self.worst <= self.bound


@short_repr
@dataclass
class ValueReport:
    """What verifying a model of values found, so far.

    Args:
        judge: what the values were compared with, in words.
        texts: how many texts there are; None if that is not known.
        seed: of the sample; None if all texts were tried, or given ones.
        outputs: what was found of each.
        tried: how many of the texts were tried.
        values: how many values were compared.
        failures: the first wrong values.
        broken: how many allowed prompts broke an assumption.
        only_allowed: whether only allowed prompts were tried and counted, since not every text is one.
        given: whether the texts are prompts from a file of the user.
        disagreements: what the files that other tools read say differently; for a folder only.
    """

    judge: str
    texts: int | None
    seed: int | None
    outputs: tuple[OutputReport, ...]
    tried: int = 0
    values: int = 0
    failures: list[WrongValue] = field(default_factory=list)
    broken: int = 0
    only_allowed: bool = False
    given: bool = False
    disagreements: tuple[Disagreement, ...] = ()

    def take(self, later: ValueReport) -> None:
        """Add what was found of the texts that come next."""
        self.tried += later.tried
        self.values += later.values
        self.broken += later.broken
        for mine, other in zip(self.outputs, later.outputs, strict=True):
            mine.wrong += other.wrong
            mine.worst = max(mine.worst, other.worst)
        for failure in later.failures:
            self.add(failure)

    def add(self, failure: WrongValue) -> None:
        """Keep a failure, if it is one of the first."""
        if len(self.failures) < SHOWN:
            self.failures.append(failure)

    @property
    def wrong(self) -> int:
        """How many values were wrong."""
        return sum(output.wrong for output in self.outputs)

    @property
    def passed(self) -> bool:
        """Whether every value is right, no error exceeds its proved bound, and no file disagrees."""
        right = all(output.passed for output in self.outputs)
        return right and not self.broken and not self.disagreements

    @property
    def is_exhaustive(self) -> bool:
        """Whether every text was tried."""
        return self.seed is None and not self.given

    def to_json(self) -> dict[str, Any]:
        """The report as plain data; an infinite error is null, and so is an unknown bound."""
        return {
            "passed": self.passed,
            "compared_with": self.judge,
            "texts": None if self.texts is None else counted(self.texts),
            "tried": self.tried,
            "exhaustive": self.is_exhaustive,
            "seed": self.seed,
            "values": self.values,
            "wrong": self.wrong,
            "outputs": [
                {
                    "name": output.name,
                    "wrong": output.wrong,
                    "worst_error": finite(output.worst),
                    "bound": finite(output.bound),
                }
                for output in self.outputs
            ],
            "broken_assumptions": self.broken,
            "failures": [
                {
                    **asdict(failure),
                    "expected": None if failure.broken else json_value(failure.expected),
                    "found": None if failure.broken else json_value(failure.found),
                }
                for failure in self.failures
            ],
            "files": [asdict(found) for found in self.disagreements],
        }


def meant_by_expressions(expressions: Mapping[str, Expression]) -> Meaning:
    """What expressions mean, as `Expression.trace` computes it."""
    prompts = next(iter(expressions.values())).prompts
    nodes = {name: expression.node for name, expression in expressions.items()}
    return _OfExpressions(prompts.vocabulary.tokens, nodes, prompts.causal)


@dataclass(frozen=True)
class _OfExpressions:
    tokens: tuple[str, ...]
    nodes: Mapping[str, Node]
    causal: bool

    def __call__(self, texts: Ids) -> Iterator[Mapping[str, Line] | str]:
        nodes = list(self.nodes.values())
        for row in texts.tolist():
            try:
                found = interpret(nodes, [self.tokens[i] for i in row], causal=self.causal)
            except AssumptionError as error:
                yield error.what
            else:
                yield dict(zip(self.nodes, found, strict=True))


def meant_by_circuits(circuits: Circuits, outputs: Iterable[Output]) -> Meaning:
    """What ideal circuits compute, with hard attention and exact numbers."""
    return _OfCircuits(circuits, tuple(outputs))


@dataclass(frozen=True)
class _OfCircuits:
    circuits: Circuits
    outputs: tuple[Output, ...]

    def __call__(self, texts: Ids) -> Iterator[Mapping[str, Line] | str]:
        stream = ideal_stream(self.circuits, texts)
        numbers = {each.name: each.exact(stream, texts.shape).tolist() for each in self.outputs}
        for row in range(len(texts)):
            try:
                yield {o.name: [o.meant(n) for n in numbers[o.name][row]] for o in self.outputs}
            except ValueError as error:  # an assumption is what says what a value can be
                yield str(error)


def verify_values(
    values: ValueModel,
    meaning: Meaning,
    prompts: Prompts,
    judge: str,
    *,
    sample: int | None = None,
    seed: int = 0,
    given: Iterable[str] | None = None,
    executor: Executor | None = None,
) -> ValueReport:
    """Compare the values of a model at every position with the right ones.

    All allowed prompts are tried if they are at most `EVERY_UP_TO` and not too long, else `sample`
    drawn ones; or the `given` prompts in their place, as text. What the program may write after an
    allowed prompt is not tried. `judge` says in words what is compared with. `executor` is that of
    `handcraft.verify`.

    Raises:
        PromptError, VocabularyError, ModelError: a given prompt is none; with its line.
        LimitError: the sample is larger than allowed.
        ModelError: something in the model or the meaning cannot be sent to a worker.
    """
    if sample is not None:
        SAMPLE_UP_TO.check(sample)
    known = None if given is not None else inputs_of(prompts)
    total = None if known is None else known.count
    most = max(FEWEST, CELLS // prompts.context**2)
    is_all = known is not None and known.count <= min(EVERY_UP_TO, most)
    if given is not None:
        tokens = Vocabulary(prompts.vocabulary.tokens)
        allowed = prompts if is_restricted(prompts) else None
        batches: Iterable[Ids] = read_prompts(given, tokens, prompts.context, allowed)
    elif known is not None and is_all:
        batches = iter(known)
    else:
        batches = drawn_texts(prompts, sample or min(SAMPLE, most), seed)
    report = ValueReport(
        judge,
        total,
        None if is_all or given is not None else seed,
        tuple(OutputReport(output.name, float(output.error_bound)) for output in values.outputs),
        only_allowed=is_restricted(prompts),
        given=given is not None,
    )
    planned = total if is_all and total else sample or min(SAMPLE, most)
    parts = (texts[i : i + BATCH] for texts in batches for i in range(0, len(texts), BATCH))
    with in_order(partial(_compared, values, meaning), parts, executor) as results:
        for found in results:
            report.take(found)
            advance("try texts", report.tried, planned)
    return report if given is None else replace(report, texts=report.tried)


def _compared(model: ValueModel, meaning: Meaning, texts: Ids) -> ValueReport:
    """What is found of some texts: [text, position]."""
    outputs = tuple(OutputReport(each.name, float(each.error_bound)) for each in model.outputs)
    report = ValueReport("", None, None, outputs, tried=len(texts))
    vocabulary = model.model.vocabulary
    ids = np.array(vocabulary.numbers)[texts]
    numbers = model.numbers(ids)
    for row, meant in enumerate(meaning(texts)):
        text = vocabulary.text(ids[row].tolist())
        if isinstance(meant, str):
            report.broken += 1
            report.add(WrongValue(None, text, broken=meant))
            continue
        for output, kept in zip(model.outputs, report.outputs, strict=True):
            found, right = numbers[output.name][row].tolist(), meant[output.name]
            report.values += len(found)
            for position, (number, value) in enumerate(zip(found, right, strict=True)):
                error = abs(number - float(output.number(value)))
                kept.worst = max(kept.worst, error if error == error else inf)  # NaN is wrong, too
                if not output.is_right(number, value):
                    kept.wrong += 1
                    report.add(WrongValue(output.name, text, position, value, output.value(number)))
    return report
