"""The rules of a program as the passes read them: conditions as flags that all hold, and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import log
from typing import Any

import numpy as np

from handcraft.compiler.rules.rank_rules import Contender, rank
from handcraft.dtype import numpy_dtype
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Finite, Kind, Plain
from handcraft.language.graph.node import AtLeast, Linear, Node
from handcraft.language.rules.decision import Decision
from handcraft.origin import Origin
from handcraft.vocabulary import Vocabulary

LISTED = 32
"""What a listed token has besides its log-probability, in nats: tokens that are not listed have 0, and
are so improbable that no float32 shows them."""

LEAST_PROBABILITY = Fraction(1, 10**12)
"""The smallest probability that a rule may give a token: a logit of 4.4 nats, where tokens that are not
listed have 0. Below e^-32 they would come first (`test_a_probability_too_small_is_refused`)."""

SHARES_WITHIN = 1e-5
"""By how much a probability may be off."""


@dataclass(frozen=True)
class Ruling:
    """One decision, ready for the passes.

    Args:
        literals: flags that all hold where the rule fires.
        answer: the category that it predicts, or the log-probability of every listed token.
        origin: the rule.
        contender: the rule as ranking looks at it.
        number: its place among all decisions.
    """

    literals: tuple[Node, ...]
    answer: Node | Mapping[int, Plain]
    origin: Origin
    contender: Contender
    number: int = 0


def read_decisions(decisions: Sequence[Decision], vocabulary: Vocabulary) -> list[Ruling]:
    """The decisions that are needed; conditions are taken apart into literals.

    Args:
        decisions: in the order in which they are tried; the last one always fires.
        vocabulary: the tokens.

    Raises:
        PrecisionError: a probability is too small.
    """
    ids = {token: i for i, token in enumerate(vocabulary.tokens)}
    contenders = [_contender(decision, ids) for decision in decisions]
    found: list[Ruling] = []
    for each in rank(contenders):
        decision = decisions[each.rule]
        answer: Node | Mapping[int, Plain]
        if isinstance(decision.answer, Node):
            answer = decision.answer
        else:
            _check_probabilities(decision.answer, decision.origin)
            answer = {ids[t]: Fraction(log(share)) + LISTED for t, share in decision.answer.items()}
        literals = tuple(part for flag in decision.literals for part in literals_of(flag))
        found.append(Ruling(literals, answer, decision.origin, contenders[each.rule], each.rule))
    return found


def _contender(decision: Decision, ids: Mapping[str, int]) -> Contender:
    """A decision as ranking looks at it."""
    answer, is_sure = decision.answer, decision.rule.flag is None
    if isinstance(answer, Node):
        assert isinstance(answer.domain, Finite)
        tokens = frozenset(ids[str(value)] for value in answer.domain.values)
        return Contender(decision.pattern, answer, tokens, decision.is_always, is_sure)
    shares, tokens = frozenset(answer.items()), frozenset(ids[token] for token in answer)
    return Contender(decision.pattern, shares, tokens, decision.is_always, is_sure)


def _check_probabilities(shares: Mapping[Any, Plain], origin: Origin) -> None:
    """Raise unless every listed token is more probable than those that are not listed.

    Raises:
        PrecisionError: a probability is too small.
    """
    token = min(shares, key=lambda token: shares[token])
    if shares[token] < LEAST_PROBABILITY:
        raise PrecisionError(
            f"the probability of {token!r} is {float(shares[token]):.3g}; below "
            f"{float(LEAST_PROBABILITY):g} tokens that are not listed would come first",
            where=origin,
            fix=f"leave {token!r} out, or give it {float(LEAST_PROBABILITY):g} or more",
        )


def literals_of(condition: Node) -> tuple[Node, ...]:
    """A conjunction as its flags."""
    if isinstance(condition, AtLeast) and isinstance(condition.number, Linear):
        terms = condition.number.terms
        ones = all(f == 1 and node.domain.kind is Kind.FLAG for f, node in terms)
        if ones and condition.bound == len(terms) and condition.number.constant == 0:
            return tuple(node for _, node in terms)
    return (condition,)


def nodes_of(rulings: Sequence[Ruling]) -> list[Node]:
    """All the trees of some rulings, each once: thousands of rules may ask for a few hundred flags."""
    each = (node for ruling in rulings for node in (*ruling.literals, ruling.answer))
    return [*dict.fromkeys(node for node in each if isinstance(node, Node))]


def with_nodes(rulings: Sequence[Ruling], nodes: Iterable[Node]) -> list[Ruling]:
    """The rulings with other trees, one for each that `nodes_of` gives, in that order."""
    made = dict(zip(nodes_of(rulings), nodes, strict=True))
    return [
        replace(
            ruling,
            literals=tuple([made[literal] for literal in ruling.literals]),
            answer=made[ruling.answer] if isinstance(ruling.answer, Node) else ruling.answer,
        )
        for ruling in rulings
    ]


def are_exact(rulings: Iterable[Ruling]) -> bool:
    """Whether probabilities are predicted, and not only tokens."""
    return any(not isinstance(ruling.answer, Node) for ruling in rulings)


def check_shares(rulings: Iterable[Ruling], dtype: str) -> None:
    """Raise unless a dtype holds every distribution.

    Raises:
        PrecisionError: log-probabilities, rounded to the dtype, give another probability.
    """
    kind = numpy_dtype(dtype)
    for ruling in rulings:
        if isinstance(ruling.answer, Node):
            continue
        exact = np.array([float(n) for n in ruling.answer.values()])
        meant, feature = (np.exp(n - LISTED) for n in (exact, exact.astype(kind).astype(np.float64)))
        off = float(np.abs(feature / feature.sum() - meant / meant.sum()).max())
        if off > SHARES_WITHIN:
            raise PrecisionError(
                f"in {dtype} a probability has an error of {off:.2g}",
                where=ruling.origin,
                fix="use float32",
                is_tight=True,
            )
