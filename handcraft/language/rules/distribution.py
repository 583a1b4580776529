"""Distributions: how probable each token is, in exact fractions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Any, TypeAlias

from handcraft.errors import DomainError, HandcraftError, ProgramError, VocabularyError, raise_all
from handcraft.language.graph.domain import plain_value
from handcraft.vocabulary import Vocabulary

Distribution: TypeAlias = Mapping[str, Fraction]
"""How probable tokens are; those that are not named are impossible."""

CLOSE = Fraction(1, 10**9)
"""Sums as near to 1 as this are treated as rounded fractions."""

LONG = 10**6
"""Fractions with larger denominators are shown as decimals."""


def exact(probabilities: Mapping[Any, Any]) -> dict[Any, Any]:
    """Probabilities as fractions; floats as the decimals that they are written as.

    Anything that is not a number is left unchanged; `read_distribution` raises an error for it.

    >>> exact({"a": 0.1, "b": 0.9})
    {'a': Fraction(1, 10), 'b': Fraction(9, 10)}
    """
    found = dict(probabilities)
    for token, probability in probabilities.items():
        with suppress(DomainError):
            value = plain_value(probability)
            if isinstance(value, int | Fraction) and not isinstance(value, bool):
                found[token] = Fraction(value)
    return found


def read_distribution(probabilities: Mapping[Any, Any], vocabulary: Vocabulary) -> dict[str, Fraction]:
    """A distribution over some tokens of a vocabulary, in its order.

    Raises:
        HandcraftError: it is empty, names unknown tokens, has a probability that is no number above 0,
            or does not sum to 1.
    """
    raise_all(list(_problems(probabilities, vocabulary)))
    return {token: probabilities[token] for token in vocabulary.tokens if token in probabilities}


def show_distribution(probabilities: Mapping[Any, Any]) -> str:
    """The distribution as a rule names it: each token with its probability.

    >>> show_distribution({"a": Fraction(1, 4), "b": Fraction(3, 4)})
    'a 1/4 b 3/4'
    """
    return " ".join(f"{token} {_show(each)}" for token, each in probabilities.items()) or "{}"


def _problems(probabilities: Mapping[Any, Any], vocabulary: Vocabulary) -> Iterator[HandcraftError]:
    if not probabilities:
        yield ProgramError(
            "the distribution is empty",
            fix='give tokens their probabilities, such as {"a": 0.25, "b": 0.75}',
        )
        return
    are_numbers = True
    for token, probability in probabilities.items():
        if token not in vocabulary:
            yield VocabularyError(
                f"the distribution names {token!r}, which is not in the vocabulary",
                fix=vocabulary.advice(token) if isinstance(token, str) else "tokens are strings",
            )
        if not isinstance(probability, Fraction):
            are_numbers = False
            yield ProgramError(
                f"the probability of {token!r} is {probability!r}, "
                f"of type {type(probability).__name__}",
                fix="give a number, such as 0.25 or Fraction(1, 3)",
            )
        elif probability <= 0:
            yield ProgramError(
                f"the probability of {token!r} is {probability}",
                fix=f"leave {token!r} out, or give it more than 0",
            )
    if are_numbers and sum(probabilities.values()) != 1:
        yield _wrong_sum(probabilities)


def _wrong_sum(probabilities: Mapping[Any, Fraction]) -> ProgramError:
    total = sum(probabilities.values(), Fraction())
    rounded = {
        token: probability.limit_denominator(1000) for token, probability in probabilities.items()
    }
    *_, last = probabilities
    needed = probabilities[last] + 1 - total
    least = min(probabilities, key=lambda token: probabilities[token])
    if probabilities[least] < CLOSE and abs(total - probabilities[least] - 1) < CLOSE:
        fix = (
            f"leave {least!r} out: no model distinguishes {_show(probabilities[least])} from 0; or "
            "write all as exact fractions, as in 1 - Fraction(1, 10**12)"
        )
    elif abs(total - 1) < CLOSE and sum(rounded.values()) == 1:
        fix = f"write exact fractions: {', '.join(f'{t!r}: {v!r}' for t, v in rounded.items())}"
    elif needed > 0:
        fix = f"give {last!r} {_show(needed)} in place of {_show(probabilities[last])}"
    else:
        fix = "make the probabilities smaller"
    addends = " + ".join(_show(probability) for probability in probabilities.values())
    words = " ".join(f"{token} {probability}" for token, probability in rounded.items())
    return ProgramError(
        f"the probabilities sum to {_show(total)}, not to 1: {addends}",
        fix=fix,
        in_rules=f"write fractions that sum to 1: {words}" if sum(rounded.values()) == 1 else None,
    )


def _show(probability: object) -> str:
    """A fraction as it is, or as a decimal where it was most likely written as one."""
    if isinstance(probability, Fraction) and probability.denominator > LONG:
        return repr(float(probability))
    return str(probability)


def likeliest(probabilities: Distribution) -> str:
    """The most likely token; of several the first in the order of the vocabulary, which is theirs."""
    return max(probabilities, key=lambda token: probabilities[token])
