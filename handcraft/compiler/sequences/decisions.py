"""Rules over expressions to neurons that speak: each adds to the logits of the tokens it predicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import log, sqrt
from typing import Any

import numpy as np

from handcraft.circuits import Nats, one_hot
from handcraft.compiler.sequences.held import Holder, Reading
from handcraft.errors import PrecisionError
from handcraft.language.decision import Decision
from handcraft.language.sequences.domain import Finite, Kind, Plain, Value
from handcraft.language.sequences.node import AtLeast, Linear, Node
from handcraft.origin import Origin
from handcraft.vocabulary import Vocabulary
from handcraft.weights.emit import numpy_dtype

HEIGHTS_UP_TO = 6
"""Up to so many rules take heights that are powers of two, so that the first that fires outvotes all
later ones together, also in bfloat16. Of more rules each fires only where no earlier one does."""

UNIT = 128
"""What is written for each unit of height: the input token's echo of 1 in a tied head counts for
nothing beside it."""

LISTED = 32
"""What a listed token has besides its log-probability, in nats: tokens that are not listed have 0, and
are so improbable that no float32 shows them."""

LEAST_PROBABILITY = Fraction(1, 10**12)
"""The smallest probability that a rule may give a token: a logit of 4.4 nats, where tokens that are not
listed have 0. Below e^-32 they would come first (`test_a_probability_too_small_is_refused`)."""


@dataclass(frozen=True)
class Speaker:
    """A neuron that adds to logits where a sum reaches a threshold; without a sum it always does.

    Args:
        reading: the sum.
        at_least: the threshold.
        writes: what is added to the logit of which token.
        origin: the rule.
        rest: what is added to the rest, so that squares come to the same after every context.
        is_echo: whether it serves no rule, but takes the input token's own 1 from the logits.
    """

    reading: Reading
    at_least: Plain
    writes: Mapping[int, Plain]
    origin: Origin
    rest: Plain = 0
    is_echo: bool = False


@dataclass(frozen=True)
class Ruling:
    """One decision, ready for the passes.

    Args:
        literals: flags that all hold where the rule fires.
        answer: the category that it predicts, or the log-probability of every listed token.
        origin: the rule.
    """

    literals: tuple[Node, ...]
    answer: Node | Mapping[int, Plain]
    origin: Origin


def read_decisions(decisions: Iterable[Decision], vocabulary: Vocabulary) -> list[Ruling]:
    """The decisions up to the first that always fires; conditions are taken apart where that helps."""
    known = [decision for decision in decisions if not decision.is_never]
    exact = any(not isinstance(decision.answer, Node) for decision in known)
    whole = exact or len(known) > HEIGHTS_UP_TO
    found: list[Ruling] = []
    for decision in known:
        answer: Node | Mapping[Any, Plain] = decision.answer
        if not isinstance(answer, Node):
            _check_probabilities(answer, decision.origin)
            answer = {
                vocabulary.tokens.index(token): Fraction(log(share)) + LISTED
                for token, share in answer.items()
            }
        condition = decision.condition
        literals = (condition,) if whole and condition is not None else _literals(condition)
        found.append(Ruling(literals, answer, decision.origin))
        if decision.condition is None:
            break
    return found


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


def _literals(condition: Node | None) -> tuple[Node, ...]:
    """A conjunction as its flags."""
    if condition is None:
        return ()
    if isinstance(condition, AtLeast) and isinstance(condition.number, Linear):
        terms = condition.number.terms
        ones = all(f == 1 and node.domain.kind is Kind.FLAG for f, node in terms)
        if ones and condition.bound == len(terms) and condition.number.constant == 0:
            return tuple(node for _, node in terms)
    return (condition,)


def nodes_of(rulings: Sequence[Ruling]) -> list[Node]:
    """All the trees of some rulings, in order."""
    return [
        node
        for ruling in rulings
        for node in (*ruling.literals, ruling.answer)
        if isinstance(node, Node)
    ]


def with_nodes(rulings: Sequence[Ruling], nodes: Sequence[Node]) -> list[Ruling]:
    """The rulings with other trees, as `nodes_of` gives them."""
    left = iter(nodes)
    return [
        Ruling(
            tuple(next(left) for _ in ruling.literals),
            next(left) if isinstance(ruling.answer, Node) else ruling.answer,
            ruling.origin,
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
        meant, held = (np.exp(n - LISTED) for n in (exact, exact.astype(kind).astype(np.float64)))
        off = float(np.abs(held / held.sum() - meant / meant.sum()).max())
        if off > SHARES_WITHIN:
            raise PrecisionError(
                f"in {dtype} a probability has an error of {off:.2g}",
                where=ruling.origin,
                fix="use float32",
                is_tight=True,
            )


def speakers(
    rulings: Sequence[Ruling],
    holder: Holder,
    vocabulary: Vocabulary,
    token: Node,
    *,
    direct: bool = False,
) -> list[Speaker]:
    """Neurons for every rule and every token that it can predict.

    Args:
        rulings: after the passes.
        holder: decides what is held.
        vocabulary: the tokens.
        token: the token as a node.
        direct: whether the last rule needs no neurons, since its answer is spoken directly.
    """
    exact = are_exact(rulings)
    apart = exact or len(rulings) > HEIGHTS_UP_TO
    found: list[Speaker] = []
    before = Reading(())
    for place, ruling in enumerate(rulings[:-1] if direct else rulings):
        height = 1 if apart else 1 << (len(rulings) - 1 - place)
        fires, needed = _conjunction(ruling.literals, holder)
        if fires is None:
            continue
        if apart:
            alone = fires
            fires = fires + before * -1
            before += alone
        unit = LISTED if exact else UNIT
        found += _speak(ruling, fires, needed, height * unit, holder, vocabulary)
        if not needed:  # it always fires, as the passes found out, so none after it ever does
            break
    return [*found, *(_echoes(holder, token) if exact else ())]


def speak_directly(rulings: Sequence[Ruling], holder: Holder, vocabulary: Vocabulary) -> bool:
    """Have what makes the answer of the last rule write logits itself, where that rule always fires.

    A ladder or a head writes the logit of a token instead of a number that another neuron would turn
    into it. Nothing is done where the answer is made in another way, or rules must tell apart which of
    them fires.

    Args:
        rulings: after the passes.
        holder: decides what is held.
        vocabulary: the tokens.
    """
    last = rulings[-1]
    if are_exact(rulings) or len(rulings) > HEIGHTS_UP_TO or last.literals:
        return False
    if not isinstance(last.answer, Node) or not isinstance(last.answer.domain, Finite):
        return False
    values = last.answer.domain.values
    if len(values) < 2:
        return False
    numbers = {
        _place(value, vocabulary): tuple(UNIT * (i == j) for j in range(len(values)))
        for i, value in enumerate(values)
    }
    return holder.speak(last.answer, numbers) is not None


def with_rest(spoken: Sequence[Speaker]) -> tuple[list[Speaker], Nats]:
    """The speakers of a program that predicts probabilities, all of the same sum of squares."""
    squares = [sum(n * n for n in s.writes.values()) for s in spoken if not s.is_echo]
    most = max(squares)
    whole = [
        replace(s, rest=Fraction(sqrt(most - sum(n * n for n in s.writes.values()))))
        if not s.is_echo
        else s
        for s in spoken
    ]
    return whole, Nats(one_hot("rest", ("rest",)), most)


SHARES_WITHIN = 1e-5
"""By how much a probability may be off."""

ECHO = Origin("the input token's echo, which a tied head would count")


def _echoes(holder: Holder, token: Node) -> list[Speaker]:
    """One neuron for each token, which takes the token's own 1 from the logits."""
    assert isinstance(token.domain, Finite)
    size = len(token.domain.values)
    return [
        Speaker(
            holder.read(token, tuple(int(i == j) for j in range(size))), 1, {i: -1}, ECHO, is_echo=True
        )
        for i in range(size)
    ]


def _conjunction(literals: Sequence[Node], holder: Holder) -> tuple[Reading | None, int]:
    """The sum of flags, and what it comes to where all of them hold; None where one never does."""
    total, needed = Reading(()), 0
    for literal in literals:
        flag = holder.number(literal)
        if not flag.terms and not flag.constant:
            return None, 0
        if flag.terms:
            total += flag
            needed += 1
    return total, needed


def _speak(
    ruling: Ruling,
    fires: Reading,
    needed: int,
    amount: Plain,
    holder: Holder,
    vocabulary: Vocabulary,
) -> list[Speaker]:
    answer = ruling.answer
    if isinstance(answer, Node):
        assert isinstance(answer.domain, Finite)
        values = answer.domain.values
        if len(values) == 1:
            return [Speaker(fires, needed, {_place(values[0], vocabulary): amount}, ruling.origin)]
        return [
            Speaker(
                fires + holder.read(answer, tuple(int(i == j) for j in range(len(values)))),
                needed + 1,
                {_place(value, vocabulary): amount},
                ruling.origin,
            )
            for i, value in enumerate(values)
        ]
    return [Speaker(fires, needed, answer, ruling.origin)]


def _place(value: Value, vocabulary: Vocabulary) -> int:
    assert isinstance(value, str)
    return vocabulary.tokens.index(value)
