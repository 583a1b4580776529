"""Contexts that are run, to find out whether one refutes a claim."""

from __future__ import annotations

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.claim import Claim
from handcraft_check.judged import surely_off
from handcraft_check.program.meaning import BROKEN
from handcraft_check.program.values import ValueReader, as_float
from handcraft_check.program.words import printable
from handcraft_check.unmasked import last_everywhere


def wrong_after(claim: Claim, context: tuple[str, ...]) -> str:
    """What is wrong after one context, whatever the order of sums; empty where nothing surely is.

    Only a context of the domain counts: a case may stand for others as well.
    """
    places = [claim.meaning.vocabulary.index(token) for token in context]
    if not is_context(claim, places):
        return ""
    answer = int(claim.meaning.answers(np.array([places])).codes[0])
    if answer == BROKEN:
        return "the context breaks an assumption of the program"
    if claim.meaning.outputs:
        values = claim.meaning.values(np.array(places))
        assert values is not None
        meant = np.array([as_float(value) for value in values])
        return wrong_value(claim, claim.model.last(claim.token_ids[places]), meant)
    return wrong_answer(claim, claim.model.run(claim.token_ids[places]), answer)


def wrong_at(claim: Claim, context: tuple[str, ...], position: int) -> tuple[str, float]:
    """What is wrong at a position of an input, where each position sees all others.

    Returns:
        Empty where nothing surely is; and at most how far the right logit is above all others there,
        -inf where no token is meant.
    """
    meaning = claim.meaning
    places = np.array([[meaning.vocabulary.index(token) for token in context]])
    answer = int(meaning.answers_everywhere(places).codes[0, position])
    if answer == BROKEN:
        return "the context breaks an assumption of the program", -np.inf
    last = last_everywhere(claim.model, claim.token_ids[places])[np.array([position])]
    if meaning.outputs:
        wrong, most = wrong_value(claim, last, meaning.values_everywhere(places)[0, position]), -np.inf
    else:
        logits = claim.model.logits(last)[0]
        wrong, most = wrong_answer(claim, logits, answer), lead(claim, logits, answer)
    return f"{wrong} at position {position}" if wrong else "", most


def wrong_answer(claim: Claim, logits: Bounded, answer: int) -> str:
    """What is wrong with logits, [vocab_size], by an answer; empty where nothing surely is."""
    judge = claim.judge
    low, high = logits.center - logits.error, logits.center + logits.error
    logs = judge.logs_of(answer)
    may = logs > -np.inf
    right = int(np.where(may, high, np.inf).argmin())
    other = int(np.where(may, -np.inf, low).argmax())
    known = {
        int(number): token
        for number, token in zip(claim.token_ids, claim.meaning.vocabulary, strict=True)
    }
    if not may[other] and low[other] > high[right]:  # not where NaN is possible
        predicted = known.get(other, f"token {other}")
        if may.sum() == 1:
            return f"the model predicts {predicted!r}, and {known[right]!r} is meant"
        return f"the model prefers {predicted!r}, which cannot follow, to {known[right]!r}"
    if judge.within < np.inf and (off := surely_off(logits, logs)) > judge.within:
        return f"the probabilities are off by at least {off:.4g} in total variation"
    return ""


def lead_after(claim: Claim, context: tuple[str, ...]) -> float:
    """At most how far the right logit is above all others after a context that refutes a claim.

    Returns:
        -inf where no token is meant: the context breaks an assumption, or the program has values.
    """
    places = [claim.meaning.vocabulary.index(token) for token in context]
    answer = int(claim.meaning.answers(np.array([places])).codes[0])
    if answer == BROKEN or claim.meaning.outputs:
        return -np.inf
    return lead(claim, claim.model.run(claim.token_ids[places]), answer)


def lead(claim: Claim, logits: Bounded, answer: int) -> float:
    """At most how far each logit that may lead is above all others, [vocab_size]; inf where all may."""
    may = claim.judge.logs_of(answer) > -np.inf
    right = np.where(may, logits.center + logits.error, np.inf).min()
    other = np.where(may, -np.inf, logits.center - logits.error).max()
    return float(np.nextafter(right - other, np.inf))


def wrong_value(claim: Claim, last: Stream, meant: Array) -> str:
    """Which value surely is off by more than is allowed; empty where none is.

    Args:
        claim: about a model of values.
        last: the last stream at one position: [1, n_embd].
        meant: the values there: [output].
    """
    outputs = claim.meaning.outputs
    reader = ValueReader(outputs, claim.model.config.n_embd)
    center, error = reader.read(last)
    off = reader.surely(center, error, meant[None])[0]
    at = int(np.where(np.isnan(off), -np.inf, off).argmax())
    if not off[at] > 1:
        return ""
    return f"{printable(outputs[at].name)} is {center[0, at]:.6g}, and {meant[at]:.6g} is meant"


def is_context(claim: Claim, places: list[int]) -> bool:
    """Whether a text is a context of the domain: an input, and what the program writes after it."""
    domain, state, end = claim.domain, 0, 0
    for position, place in enumerate(places[: domain.length - domain.writes + 1]):
        state = int(domain.next[state, place])
        if state < 0:
            break
        end = position + 1 if domain.final[state] else end
    if not 0 < end <= len(places) <= min(domain.length, end + domain.writes - 1):
        return False
    followed = [claim.meaning.answers(np.array([places[:i]])).codes for i in range(end, len(places))]
    return all(
        claim.judge.follows(codes, np.array([place])).all()
        for place, codes in zip(places[end:], followed, strict=True)
    )
