"""Rules over expressions to neurons, each of which adds to the logits of the tokens it predicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from math import inf, sqrt

from handcraft.circuits import LogitScale, one_hot
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading, sum_of
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.passes.ir import StepFunction, Threshold
from handcraft.compiler.rules.amounts import Amounts
from handcraft.compiler.rules.rank_rules import Rank, rank
from handcraft.compiler.rules.rulings import LISTED, Ruling, are_exact
from handcraft.language.graph.domain import FLAGS, Finite, Plain, Value
from handcraft.language.graph.node import Node
from handcraft.language.graph.wording import reads
from handcraft.origin import Origin
from handcraft.vocabulary import Vocabulary

HIGHEST = 1024
"""The largest height of a rule: of logits up to 1024 times `NATS` float32 tells a hundredth of a nat.
In half precision it is less: bfloat16 tells 32 from 31, and float16 256 from 255. Rules that would need
more get a veto, which takes a neuron and a dimension."""

UNIT = 128
"""What is written for each unit of height: the input token's echo of 1 in a tied head counts for
nothing beside it."""

SMALL_UNIT = 4
"""The same where neurons of several layers write logits: LayerNorm between them sees what is written,
and its scale must not follow it. A logit leads by 3 of these 4 at least, the echo taken off."""

MOST_SQUARES = 64
"""Of heights that rules add at once where neurons of several layers write logits: times the square of
`SMALL_UNIT` they change what LayerNorm divides by, beside its ballast, by less than a thousandth."""


@dataclass(frozen=True)
class LogitNeuron:
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

    def check(self, precision: Precision, varying: Plain, times: int = 1) -> None:
        """Raise unless it distinguishes sums that reach the threshold from all others.

        Args:
            precision: of the dtype.
            varying: no sum of squares of what LayerNorm sees beside its ballast is larger.
            times: how much larger than planned LayerNorm may make numbers, and their noise.

        Raises:
            PrecisionError: the sum is too large, or LayerNorm makes it too uncertain.
        """
        reading, level = self.reading, self.at_least - self.reading.rest
        precision.check_sum(self.origin, reading, level, 1)
        precision.check_noise(self.origin, reading, level, 1, varying, times)


def check_neurons(
    neurons: Iterable[LogitNeuron], precision: Precision, varying: Plain, times: int = 1
) -> None:
    """Check neurons as `LogitNeuron.check`, of those whose sums have parts of the same sizes one.

    Raises:
        PrecisionError: one does not distinguish its sums.
    """
    kinds: dict[object, int] = {}
    kind_of: dict[int, int] = {}
    checked: set[object] = set()
    for neuron in neurons:
        parts = neuron.reading.parts or (neuron.reading,)
        for part in parts:
            if id(part) not in kind_of:
                kind_of[id(part)] = kinds.setdefault(part.sizes, len(kinds))
        case = neuron.at_least, *sorted([kind_of[id(part)] for part in parts])
        if case not in checked:
            neuron.check(precision, varying, times)
            checked.add(case)


def highest(dtype: str) -> int:
    """The largest height of a rule in a dtype."""
    return min(HIGHEST, Precision(dtype).whole >> 3)


def ranks(rulings: Sequence[Ruling], dtype: str, *, apart: bool = False) -> tuple[Rank, ...]:
    """The rank of each rule; where probabilities are predicted no rule adds to those of another.

    Args:
        rulings: the rules, all of which are needed.
        dtype: of the weights.
        apart: whether neurons of several layers write logits.
    """
    exact = are_exact(rulings)
    most_squares = MOST_SQUARES if apart else inf
    contenders = [ruling.contender for ruling in rulings]
    return rank(contenders, 0 if exact else highest(dtype), most_squares, alone=exact)


def rule_neurons(
    rulings: Sequence[Ruling],
    ranked: Sequence[Rank],
    features: Features,
    vocabulary: Vocabulary,
    token: Node,
    *,
    direct: bool = False,
    unit: int = UNIT,
) -> list[LogitNeuron]:
    """Neurons for every rule and every token that it can predict.

    Args:
        rulings: after the passes.
        ranked: the rank of each.
        features: allocates features.
        vocabulary: the tokens.
        token: the token as a node.
        direct: whether the last rule needs no neurons, since what makes its answer writes logits.
        unit: what is written for each unit of height, where rules predict tokens.
    """
    exact = are_exact(rulings)
    unit = LISTED if exact else unit
    vetoed_by = needed_vetoes(rulings, ranked)
    found: list[LogitNeuron] = []
    for place, (ruling, own) in enumerate(zip(rulings, ranked, strict=True)):
        fires, needed = conjunction(ruling.literals, features)
        if fires is None:
            continue
        if direct and place == len(rulings) - 1:
            break
        vetoes = [veto(rulings[k], k + 1, ruling, features) * -1 for k in vetoed_by[place]]
        fires = sum_of((fires, *vetoes))
        found += _predicting(ruling, fires, needed, own.height * unit, features, vocabulary)
        if not fires.terms and fires.constant >= needed:
            break  # it always fires, as the passes found out, so none after it ever does
    return [*found, *(_echoes(features, token) if exact else ())]


def needed_vetoes(rulings: Sequence[Ruling], ranked: Sequence[Rank | Amounts]) -> list[list[int]]:
    """For each rule the places of the earlier rules that veto it: where one fires, it must not.

    One whose literals include all literals of another is left out: where it fires, so does the other.
    """
    found: list[list[int]] = [[] for _ in rulings]
    for place, each in enumerate(ranked):
        for rival in each.rivals if each.has_veto else ():
            found[rival].append(place)
    sets = [frozenset(ruling.literals) for ruling in rulings]
    for place, by in enumerate(found):
        asked = {sets[k] for k in by}
        found[place] = [k for k in by if not any(less in asked for less in _parts(sets[k]))]
    return found


def _parts(flags: frozenset[Node], most: int = 6) -> Iterator[frozenset[Node]]:
    """Conjunctions of fewer of these flags; of many flags only those of a single one."""
    for size in range(len(flags) if len(flags) <= most else 2):
        yield from map(frozenset, combinations(flags, size))


def veto(ruling: Ruling, number: int, rival: Ruling, features: Features) -> Reading:
    """A sum that is 1 where a rule fires, as far as a rival can fire there too, and else 0.

    Where the rival fires, its own literals hold, so that this sum leaves them out.
    """
    asked = [each for each in ruling.literals if each not in rival.literals]
    readings = [features.number(each) for each in asked]
    if any(not reading.terms and not reading.constant for reading in readings):
        return Reading(())
    more = [reading for reading in readings if reading.terms]
    if len(more) <= 1:
        return more[0] if more else Reading((), 1)
    terms = tuple((1, each) for each in ruling.literals if features.number(each).terms)
    flag = StepFunction(
        FLAGS,
        reads(f"rule {number} matches"),
        (Threshold(terms, len(terms), 1),),
        (False, True),
        place=ruling.origin.place,
    )
    return features.number(flag)


def ends_directly(rulings: Sequence[Ruling]) -> bool:
    """Whether rules end in one that always fires and whose answer is one of several values."""
    last = rulings[-1]
    answer = last.answer
    has_several = (
        isinstance(answer, Node) and isinstance(answer.domain, Finite) and len(answer.domain.values) > 1
    )
    return has_several and not last.literals and not are_exact(rulings)


def write_last_directly(
    rulings: Sequence[Ruling],
    ranked: Sequence[Rank],
    features: Features,
    vocabulary: Vocabulary,
    unit: int = UNIT,
) -> bool:
    """Have what makes the answer of the last rule write logits itself, where that rule always fires.

    A step function or a head writes the logit of a token instead of a number that another neuron would
    turn into it. Nothing is done where the answer is made in another way, or where rules must decide
    which of them fires.

    Args:
        rulings: after the passes.
        ranked: the rank of each.
        features: allocates features.
        vocabulary: the tokens.
        unit: what is written.
    """
    if not ends_directly(rulings) or any(each.has_veto for each in ranked):
        return False
    answer = rulings[-1].answer
    assert isinstance(answer, Node)
    assert isinstance(answer.domain, Finite)
    values = answer.domain.values
    numbers = {
        _place(value, vocabulary): tuple(unit * (i == j) for j in range(len(values)))
        for i, value in enumerate(values)
    }
    return features.write_logits(answer, numbers) is not None


def with_rest(logit_neurons: Sequence[LogitNeuron]) -> tuple[list[LogitNeuron], LogitScale]:
    """The neurons of a program that predicts probabilities, all of the same sum of squares."""
    squares = [sum(n * n for n in s.writes.values()) for s in logit_neurons if not s.is_echo]
    most = max(squares)
    whole = [
        replace(s, rest=Fraction(sqrt(most - sum(n * n for n in s.writes.values()))))
        if not s.is_echo
        else s
        for s in logit_neurons
    ]
    return whole, LogitScale(one_hot("rest", ("rest",)), most)


ECHO = Origin("cancels the echo of the input token")


def _echoes(features: Features, token: Node) -> list[LogitNeuron]:
    """One neuron for each token, which takes the token's own 1 from the logits."""
    assert isinstance(token.domain, Finite)
    size = len(token.domain.values)
    return [
        LogitNeuron(
            features.read(token, tuple(int(i == j) for j in range(size))),
            1,
            {i: -1},
            ECHO,
            is_echo=True,
        )
        for i in range(size)
    ]


def conjunction(literals: Iterable[Node], features: Features) -> tuple[Reading | None, int]:
    """The sum of flags, and what it comes to where all of them hold; None where one never does.

    Args:
        literals: the flags.
        features: decides what is stored.
    """
    found: list[Reading] = []
    needed = 0
    for literal in literals:
        flag = features.number(literal)
        if not flag.terms and not flag.constant:
            return None, 0
        if flag.terms:
            found.append(flag)
            needed += 1
    return sum_of(found), needed


def _predicting(
    ruling: Ruling,
    fires: Reading,
    needed: int,
    amount: Plain,
    features: Features,
    vocabulary: Vocabulary,
) -> list[LogitNeuron]:
    """The neurons of one rule: one for each token that it can predict, or one for a distribution."""
    answer = ruling.answer
    if isinstance(answer, Node):
        assert isinstance(answer.domain, Finite)
        values = answer.domain.values
        if len(values) == 1:
            return [LogitNeuron(fires, needed, {_place(values[0], vocabulary): amount}, ruling.origin)]
        return [
            LogitNeuron(
                fires + features.read(answer, tuple(int(i == j) for j in range(len(values)))),
                needed + 1,
                {_place(value, vocabulary): amount},
                ruling.origin,
            )
            for i, value in enumerate(values)
        ]
    return [LogitNeuron(fires, needed, answer, ruling.origin)]


def _place(value: Value, vocabulary: Vocabulary) -> int:
    assert isinstance(value, str)
    return vocabulary.tokens.index(value)
