"""Assert that a model answers what is meant, after every prompt that is tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handcraft.display import shorten_value
from handcraft.errors import AnswerError, HandcraftError, ModelError, PromptError
from handcraft.testing.means.by_hypothesis import try_examples
from handcraft.testing.means.explainer import explainer
from handcraft.testing.means.found import Agreement, Disagreement
from handcraft.testing.means.meaning import Meaning, Reads, as_meaning
from handcraft.testing.means.shorter import shrunk
from handcraft.testing.means.tally import Tally
from handcraft.testing.means.thinner import hunt
from handcraft.testing.means.trials import Given, Listed, Trials, trials_of
from handcraft.testing.means.trying import Trying
from handcraft.testing.models.answering import Flags, Ids
from handcraft.testing.models.as_model import Tokens, as_model, is_model
from handcraft.testing.models.checked import CheckedModel
from handcraft.testing.profiles import profile
from handcraft.testing.rule_cases import RuleCase


def assert_means(
    model: object,
    meaning: object,
    prompts: Given = None,
    *,
    vocabulary: Tokens | None = None,
    longest: int | None = None,
    least_margin: float = 0.0,
    hunt_thin_margins: bool = False,
    reads: Reads = "text",
    every_up_to: int | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> Agreement:
    """Assert that a model answers what is meant.

    If there are few allowed prompts, all are tried. Otherwise the shortest ones and random ones are; a
    random prompt that fails is shrunk.

    Args:
        model: anything that `as_model` takes.
        meaning: what it should answer: a `Program`, `Circuits`, a rule of `parametrize`, or a function
            from a prompt to the next token, or to several that should follow; if it returns None, the
            prompt is not compared.
        prompts: which prompts to try: a regular expression that they match as a whole, `Prompts`, the
            prompts themselves, or a Hypothesis strategy. By default those that the program allows, or
            every text.
        vocabulary: the tokens of the model, if the model does not state them.
        longest: the most tokens of a prompt.
        least_margin: how much higher the logit of the right token must be than any other.
        hunt_thin_margins: after these prompts, search for others with smaller margins.
        reads: whether a function is called with a text or with a list of tokens.
        every_up_to: if there are at most this many prompts, all are tried; the default is the
        profile's.
        sample: otherwise about this many are.
        seed: the seed of the random prompts.

    Returns:
        How many prompts were tried, and the answer with the smallest margin.

    Raises:
        Disagreement: an `AssertionError` that names the shortest prompt that was found, what is meant
            and by which rule, the runner-up and the margin.
        AnswerError: the model raised an error, or its answer is no logits; the prompt is named.
        VocabularyError: the model lacks tokens of the program.
        PromptError: no prompt is allowed, or nothing says how long they may be.

    >>> from handcraft import Program, predict
    >>> aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    >>> print(assert_means(aab, lambda prompt: "b" if prompt.endswith("aa") else "a"))
    62 prompts (all), margin ... (<doctest ...>:1, <lambda>)
    """
    __tracebackhide__ = True
    chosen = profile()
    every_up_to = chosen.every_up_to if every_up_to is None else every_up_to
    sample = chosen.sample if sample is None else sample
    try:
        case = meaning if isinstance(meaning, RuleCase) else None
        subject, meant = subject_and_meaning(model, meaning, vocabulary, reads)
        trying = Trying(subject, meant, None if case is None else case.number)
        given: Given = case.given if case is not None and prompts is None else prompts
        if hasattr(given, "example"):
            return _by_strategy(trying, given, least_margin, chosen.examples, seed)
        trials = trials_of(
            given,
            meant,
            longest=longest,
            model=subject.model,
            every_up_to=every_up_to,
            sample=sample,
            seed=seed,
        )
        check_fits(subject, trials)
        return _agreement(
            Tally(trying, least_margin), trials, chosen.examples if hunt_thin_margins else 0, seed
        )
    except HandcraftError as error:  # from here: our own frames say nothing to the reader
        raise error.with_traceback(None) from error.__cause__


def _agreement(tally: Tally, trials: Trials | Listed, examples: int, seed: int) -> Agreement:
    """Try all inputs, hunt if `examples` are to be made for that, and raise what was found wrong."""
    __tracebackhide__ = True
    try_all(tally, trials)
    _raise_wrong(tally, trials)
    if not tally.tried:
        meant = tally.trying.meaning
        raise PromptError(
            "no prompt was tried",
            where=f"the meaning {meant.reason(-1)}"
            if not meant.rules
            else "the prompts of the program",
            fix="allow some prompts, and say what is meant after them",
        )
    if examples and not trials.is_all:
        hunt(tally, trials, examples=examples, seed=seed)
        _raise_wrong(tally, trials)
    return Agreement(tally.tried, trials.is_all, tally.thinnest[0][2], tuple(tally.counts.values()))


def subject_and_meaning(
    model: object, meaning: object, vocabulary: Tokens | None, reads: Reads
) -> tuple[CheckedModel, Meaning]:
    """The model under test over the tokens of what is meant, and what is meant.

    Raises:
        ModelError: a model stands where it should be said what is meant.
    """
    if is_model(meaning):
        raise ModelError(
            f"the second argument is a model, {shorten_value(meaning)}, and does not say what is meant",
            fix="give a Program, Circuits, or a function from a prompt to the next token"
            if is_model(model)
            else "exchange the arguments: first the model, then what it is to answer",
        )
    answering = as_model(model, vocabulary=vocabulary)
    said = meaning.program if isinstance(meaning, RuleCase) else meaning
    meant = as_meaning(said, answering.vocabulary, reads)
    return CheckedModel.of(answering, meant.vocabulary.tokens), meant


def check_fits(subject: CheckedModel, trials: Trials | Listed) -> None:
    """Raise unless the model can read the longest prompt, as far as that is known."""
    if isinstance(trials, Listed):
        subject.check_length(max(map(len, trials.texts), default=0), "the prompts")
    else:
        subject.check_length(trials.longest + trials.prompts.writes - 1, "the allowed prompts")


def try_all(tally: Tally, trials: Trials | Listed) -> None:
    """Try the inputs, and count the answers.

    Raises:
        AnswerError: the model fails; the prompt is the shortest that was found.
    """
    __tracebackhide__ = True
    for inputs in trials:
        try:
            for answers in tally.trying.answers(inputs):
                tally.add(answers)
        except AnswerError as error:
            raise shortest_error(error, tally.trying.subject, trials) from error.__cause__


def shortest_error(error: AnswerError, subject: CheckedModel, trials: Trials | Listed) -> AnswerError:
    """The same error after the shortest prompt that raises it."""
    found = {error.prompt: error}

    def fails(texts: Ids) -> Flags:
        failing = []
        for text in texts:
            try:
                subject.logits(text[None])
                failing.append(False)
            except AnswerError as other:
                failing.append(other.kind == error.kind)
                found[tuple(text.tolist())] = other
        return np.array(failing, dtype=bool)

    if error.prompt is None or not fails(np.array([error.prompt])).all():
        return error  # it fails only among others, or after what is written
    shorter = shrunk(error.prompt, fails, trials.allowed)
    return found[shorter]


def _raise_wrong(tally: Tally, trials: Trials | Listed) -> None:
    """Raise the disagreement of the shortest prompt, if any failed."""
    __tracebackhide__ = True
    if tally.wrong is None:
        return
    smaller = Tally(tally.trying, tally.least_margin)
    if not trials.is_all:

        def fails(texts: Ids) -> Flags:
            return tally.trying.lowest(texts, tally.least_margin)[1]

        prompt = shrunk(tally.input, fails, trials.allowed)
        for inputs in trials.shorter(len(prompt)) or [np.array([prompt])]:
            for answers in tally.trying.answers(inputs):
                smaller.add(answers)
            if smaller.wrong is not None:
                break
    wrong, length = smaller.wrong or tally.wrong, len(smaller.input or tally.input)
    is_shortest = trials.is_all or trials.shorter(length) is not None
    raise Disagreement(
        wrong,
        least_margin=tally.least_margin,
        tried=tally.tried,
        failed=tally.failed,
        is_all=trials.is_all,
        is_shortest=is_shortest,
        counts=tally.counts,
        model=tally.trying.subject.model.name,
        explain=explainer(tally.trying, wrong),
    )


def _by_strategy(
    trying: Trying, texts: Any, least_margin: float, examples: int, seed: int
) -> Agreement:
    """The same for prompts that a strategy makes; Hypothesis shrinks the one that fails."""
    __tracebackhide__ = True
    vocabulary = trying.subject.vocabulary
    tally = Tally(trying, least_margin)

    def read(text: str | Sequence[str]) -> tuple[int, ...]:
        return vocabulary.ids(text)

    def attempt(prompt: tuple[int, ...]) -> float:
        alone = Tally(trying, least_margin)
        inputs = Listed((prompt,))
        for answers in (each for rows in inputs for each in trying.answers(rows)):
            alone.add(answers)
            tally.add(answers)
        if alone.wrong is not None:
            raise Disagreement(
                alone.wrong,
                least_margin=least_margin,
                tried=tally.tried,
                failed=tally.failed,
                is_all=False,
                is_shortest=False,
                counts=tally.counts,
                model=trying.subject.model.name,
                explain=explainer(trying, alone.wrong),
            )
        return alone.thinnest[0][0] if alone.thinnest else float("inf")

    try_examples(texts, read, attempt, examples=examples, seed=seed, aim=False)
    if not tally.tried:
        raise PromptError(
            "no prompt was tried",
            where=f"the strategy {texts!r}",
            fix="let it make texts of the vocabulary",
        )
    return Agreement(tally.tried, False, tally.thinnest[0][2], tuple(tally.counts.values()))
