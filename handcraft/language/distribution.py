"""Distributions: how probable each token is, in exact fractions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from handcraft.errors import DomainError, HandcraftError, ProgramError, VocabularyError, raise_all
from handcraft.language.graph.domain import plain_value
from handcraft.vocabulary import Vocabulary

CLOSE = Fraction(1, 10**9)
"""Sums as near to 1 as this are taken for rounded fractions."""

LONG = 10**6
"""Fractions with larger denominators are shown as decimals."""


def exact(shares: Mapping[Any, Any]) -> dict[Any, Any]:
    """Probabilities as fractions; floats as the decimals that they are written as.

    What is no number stays as it is, for `read_distribution` to complain of.

    >>> exact({"a": 0.1, "b": 0.9})
    {'a': Fraction(1, 10), 'b': Fraction(9, 10)}
    """
    return {token: _exact(share) for token, share in shares.items()}


def _exact(share: object) -> object:
    try:
        value = plain_value(share)
    except DomainError:
        return share
    if isinstance(value, int | Fraction) and not isinstance(value, bool):
        return Fraction(value)
    return share


def read_distribution(shares: Mapping[Any, Any], vocabulary: Vocabulary) -> dict[str, Fraction]:
    """A distribution over some tokens of a vocabulary, in its order.

    Args:
        shares: as `exact` gives them.
        vocabulary: where the tokens come from.

    Raises:
        HandcraftError: it is empty, names unknown tokens, has a probability that is no number above 0,
            or does not sum to 1.
    """
    raise_all(list(_problems(shares, vocabulary)))
    return {token: shares[token] for token in vocabulary.tokens if token in shares}


def show_distribution(shares: Mapping[Any, Any]) -> str:
    """The distribution as a rule names it: each token with its probability.

    >>> show_distribution({"a": Fraction(1, 4), "b": Fraction(3, 4)})
    'a 1/4 b 3/4'
    """
    return " ".join(f"{token} {_show(share)}" for token, share in shares.items()) or "{}"


def _problems(shares: Mapping[Any, Any], vocabulary: Vocabulary) -> Iterator[HandcraftError]:
    if not shares:
        yield ProgramError(
            "the distribution is empty",
            fix='give tokens their probabilities, such as {"a": 0.25, "b": 0.75}',
        )
        return
    are_numbers = True
    for token, share in shares.items():
        if token not in vocabulary:
            yield VocabularyError(
                f"the distribution names {token!r}, which is not in the vocabulary",
                fix=vocabulary.advice(token) if isinstance(token, str) else "tokens are strings",
            )
        if not isinstance(share, Fraction):
            are_numbers = False
            yield ProgramError(
                f"the probability of {token!r} is {share!r}, of type {type(share).__name__}",
                fix="give a number, such as 0.25 or Fraction(1, 3)",
            )
        elif share <= 0:
            yield ProgramError(
                f"the probability of {token!r} is {share}",
                fix=f"leave {token!r} out, or give it more than 0",
            )
    if are_numbers and sum(shares.values()) != 1:
        yield _wrong_sum(shares)


def _wrong_sum(shares: Mapping[Any, Fraction]) -> ProgramError:
    total = sum(shares.values(), Fraction())
    rounded = {token: share.limit_denominator(1000) for token, share in shares.items()}
    *_, last = shares
    needed = shares[last] + 1 - total
    least = min(shares, key=lambda token: shares[token])
    if shares[least] < CLOSE and abs(total - shares[least] - 1) < CLOSE:
        fix = (
            f"leave {least!r} out: no model distinguishes {_show(shares[least])} from 0; or write all "
            "as exact fractions, as in 1 - Fraction(1, 10**12)"
        )
    elif abs(total - 1) < CLOSE and sum(rounded.values()) == 1:
        fix = f"write exact fractions: {', '.join(f'{t!r}: {v!r}' for t, v in rounded.items())}"
    elif needed > 0:
        fix = f"give {last!r} {_show(needed)} in place of {_show(shares[last])}"
    else:
        fix = "make the probabilities smaller"
    said = " + ".join(_show(share) for share in shares.values())
    words = " ".join(f"{token} {share}" for token, share in rounded.items())
    return ProgramError(
        f"the probabilities sum to {_show(total)}, not to 1: {said}",
        fix=fix,
        in_rules=f"write fractions that sum to 1: {words}" if sum(rounded.values()) == 1 else None,
    )


def _show(share: object) -> str:
    """A fraction as it is, or as a decimal where it was most likely written as one."""
    if isinstance(share, Fraction) and share.denominator > LONG:
        return repr(float(share))
    return str(share)
