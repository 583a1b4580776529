"""Does the model answer what the program means? Every context, or a stated sample of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

from handcraft.circuits import Circuits
from handcraft.display import shorten_value
from handcraft.errors import ModelError, ProgramError
from handcraft.language import Program, Prompts
from handcraft.language.meaning import Meaning
from handcraft.limits import SAMPLE as SAMPLE_UP_TO
from handcraft.model import Model
from handcraft.progress import advance
from handcraft.verify.divide import in_order
from handcraft.verify.given import given_parts
from handcraft.verify.judge import Judge
from handcraft.verify.report import Report
from handcraft.verify.tally import Found
from handcraft.verify.texts.allowed import (
    BEGINNING,
    DRAWN,
    Allowed,
    drawn_prefixes,
    drawn_texts,
    inputs_of,
    is_restricted,
)
from handcraft.verify.texts.batch import Part
from handcraft.verify.texts.contexts import count_contexts, every_part, longer_parts, random_parts
from handcraft.verify.texts.mixed import change_of
from handcraft.verify.texts.windows import window_texts
from handcraft.verify.texts.written_part import allowed_parts

EXHAUSTIVE_UP_TO = 10_000_000
"""The largest number of contexts that are all tried."""

SAMPLE = 100_000
"""How many contexts are tried where there are more, unless only some are allowed prompts."""

ALLOWED_UP_TO = 200_000
"""With at most so many allowed prompts, all of them are tried, however many contexts there are."""

TEXT_OPERATIONS = 1e12
"""About how many multiplications the texts that fill a model may take: a minute or so of one core."""


def verify(
    model: Model,
    source: Program | Circuits,
    *,
    prompts: Prompts | None = None,
    every_up_to: int = EXHAUSTIVE_UP_TO,
    sample: int | None = None,
    seed: int = 0,
    given: Iterable[str] | None = None,
    executor: Executor | None = None,
) -> Report:
    """Compare what the model answers with what its source means.

    Every context up to the program's length is tried where there are at most `every_up_to`, else
    `sample` random ones. If the model has more positions, texts that fill them are
    tried too: each position comes after every window of tokens that the rules distinguish, or
    after as many as `sample` contexts allow (see `window_texts`). An answer is right if the logit of
    the right token is the highest; for a distribution, if the total variation distance is at most
    `CLOSE`. Rules and causal circuits predict what follows a context; circuits without a causal mask
    have an answer at every position, and all of them are checked.

    Where not all texts are allowed prompts, only allowed ones are tried: all of them, if a regular
    expression declares them and there are at most `ALLOWED_UP_TO`, or `sample`. One that breaks an
    assumption of the program is a failure. The parts of a prompt that the program would write are
    written by the model; after its first wrong token nothing more of that prompt is tried.

    Args:
        model: the model.
        source: rules, whose oracle answers, or circuits, whose ideal interpreter does.
        prompts: which texts are allowed, for circuits; rules have prompts of their own.
        every_up_to: with at most so many contexts, every one is tried.
        sample: how many random contexts to try where there are too many for all; `SAMPLE` if left
            out, or `DRAWN` allowed prompts.
        seed: of the sample.
        given: prompts to check instead of all these, as text.
        executor: of `concurrent.futures` or like it: its workers try contexts. None for this process;
            the report is the same.

    Raises:
        ProgramError: no text is an allowed prompt.
        PromptError, VocabularyError: a given prompt is invalid; with its place in the list.
        LimitError: the sample is too large.
        ModelError: `model` is not a model, or `source` is neither rules nor circuits; or something in
            them cannot be sent to a worker.
    """
    _check_arguments(model, source)
    if sample is not None:
        SAMPLE_UP_TO.check(sample)
    positions, longest = model.context, source.context
    prompts = source.prompts if isinstance(source, Program) else prompts
    allowed = prompts if is_restricted(prompts) else None
    if given is not None:
        tried_on = Contexts(given_parts(model, source, given, allowed), 0, False)
    else:
        tried_on = contexts_to_try(model, source, allowed, every_up_to, sample, seed)
    judge = Judge(model, source, allowed if given is None else None, is_sample=not tried_on.is_all)
    found = Found()
    with in_order(judge, tried_on.parts, executor) as results:
        for result in results:
            found.take(result)
            advance("try contexts", found.tried, tried_on.planned or found.tried)
    tried, total = found.tried, count_contexts(len(model.vocabulary), longest)
    if allowed is not None and not tried:
        raise ProgramError(
            f"no text of up to {longest} tokens is an allowed prompt",
            where=allowed.place,
            fix="write inputs= for texts over the vocabulary, no longer than the context",
        )
    windows = None
    if isinstance(source, Program) and positions > longest and given is None:
        windows = window_texts(source, positions, _most_texts(model, sample or SAMPLE), seed)
        shortest = longest + 1 if tried_on.is_all else 1
        parts = longer_parts(model, windows.texts, shortest)
        planned = len(windows.texts) * (positions - shortest + 1)
        with in_order(Judge(model, source, is_plain=True), parts, executor) as results:
            for result in results:
                found.take(result)
                advance("try longer contexts", found.tried - tried, planned)
    return found.report(
        source,
        contexts=total if allowed is None and given is None else tried,
        longest=longest,
        tried=tried,
        longer=found.tried - tried,
        seed=None if tried_on.is_all or given is not None else seed,
        only_allowed=allowed is not None,
        given=given is not None,
        windows=windows.count if windows is not None else 0,
        windows_tried=windows.seen if windows is not None else 0,
        window=windows.width if windows is not None else 0,
    )


def _check_arguments(model: object, source: object) -> None:
    if not isinstance(model, Model):
        raise ModelError(
            f"{shorten_value(model)} is not a model",
            fix="the model comes first: verify(compiled.model, program); or write compiled.verify()",
        )
    if not isinstance(source, Program | Circuits):
        raise ModelError(
            f"{shorten_value(source)} does not say what the model should answer",
            fix="give the program or its circuits: verify(compiled.model, program)",
        )


def _most_texts(model: Model, contexts: int) -> int:
    """How many texts that fill a model are run, for about so many contexts."""
    shape = model.shape
    attention = 2 * shape.n_layer * shape.n_positions * shape.n_embd
    operations: float = shape.n_positions * (model.parameters + attention)
    if not model.architecture.causal:  # each prefix of a text runs alone
        operations *= shape.n_positions / 2
    return max(1, min(contexts // shape.n_positions, int(TEXT_OPERATIONS / operations)))


@dataclass(frozen=True)
class Contexts:
    """The contexts to try: the parts, about how many contexts there are, and whether those are all."""

    parts: Iterator[Part]
    planned: int
    is_all: bool


def contexts_to_try(
    model: Model,
    source: Program | Circuits | Meaning,
    allowed: Prompts | None,
    every_up_to: int,
    sample: int | None,
    seed: int,
) -> Contexts:
    """All contexts if there are few enough, else random ones; only allowed ones if not all are."""
    longest, everywhere = source.context, isinstance(source, Circuits) and not source.causal
    total = count_contexts(len(model.vocabulary), longest)
    if allowed is not None:
        inputs = inputs_of(allowed)
        most = min(every_up_to, max(ALLOWED_UP_TO, sample or 0))
        if inputs is not None and inputs.count * allowed.writes <= most:
            parts = allowed_parts(model, iter(inputs), everywhere)
            return Contexts(parts, inputs.count * allowed.writes, True)
    if total <= every_up_to and (allowed is None or allowed.writes == 1):
        parts = every_part(model, longest, at_every_position=everywhere)
        return Contexts(parts if allowed is None else map(Allowed, parts), total, True)
    causal = model.architecture.causal and not everywhere
    if allowed is not None and allowed.writes == 1 and causal and inputs_of(allowed) is not None:
        count = sample or BEGINNING
        return Contexts(drawn_prefixes(allowed, count, seed), count, False)
    if allowed is not None:
        drawn = drawn_texts(allowed, sample or DRAWN, seed)
        return Contexts(allowed_parts(model, drawn, everywhere), sample or DRAWN, False)
    count = sample or SAMPLE
    parts = random_parts(
        model, count, seed, longest, at_every_position=everywhere, change=change_of(source)
    )
    return Contexts(parts, count, False)
