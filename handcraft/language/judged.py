"""What a program says about one prompt: which rule fires, which conditions hold, what values are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import (
    Aggregate,
    Constant,
    Embedded,
    Node,
    case_label,
    walk,
)
from handcraft.language.oracle.interpret import Values, interpret_in, selected
from handcraft.language.rules.distribution import likeliest
from handcraft.origin import Origin

if TYPE_CHECKING:
    from handcraft.language.meaning import MeantRule, NeverFires
    from handcraft.language.rules.conditions import MeantCondition

Of = TypeVar("Of")

State: TypeAlias = Literal["fires", "comes later", "nearly", "does not", "never", "unknown"]
"""What becomes of a rule: it decides; it matches, but an earlier one decides; it does not match, and no
rule that does not lacks fewer conditions; it does not match, and others come nearer; it fires after no
prompt at all; or only its words are known, and no weight tells."""


@dataclass(frozen=True)
class Condition:
    """One of the conditions of a rule, which all must hold where it fires.

    Args:
        text: how it reads.
        holds: whether it is true at the position.
        reads: the values that it reads there, by name; none that are only read at other positions.
    """

    text: str
    holds: bool
    reads: Mapping[str, Value]


@dataclass(frozen=True)
class Outcome:
    """What becomes of a rule after one prompt.

    Args:
        number: its place among the rules, from 1.
        origin: how it reads, and where it was written.
        predicts: the token that it predicts here, whether it fires or not; None where that is unknown.
        state: what becomes of it.
        conditions: its conditions; none for a rule that always matches, and where they are not known.
    """

    number: int
    origin: Origin
    predicts: str | None
    state: State
    conditions: tuple[Condition, ...] = ()

    @property
    def misses(self) -> int:
        """How many conditions do not hold."""
        return sum(not condition.holds for condition in self.conditions)


@dataclass(frozen=True)
class Judged:
    """The rules and the values of a program after one prompt.

    Args:
        outcomes: what becomes of each rule, in order.
        values: the value at every position of each expression that has a name or that a rule reads.
        by_text: the values of all expressions, by their texts; none for a text of different values.
        selects: whether the conditions of a selection hold of any source, for each destination, by the
            label of the conditions; none for a label of different conditions.
    """

    outcomes: tuple[Outcome, ...]
    values: Mapping[Node, Values]
    by_text: Mapping[str, Values] = field(default_factory=dict)
    selects: Mapping[str, Values] = field(default_factory=dict)

    @property
    def winner(self) -> Outcome:
        """The rule that fires."""
        return next(each for each in self.outcomes if each.state == "fires")

    @property
    def answer(self) -> str:
        """The token that the rule predicts which fires."""
        return str(self.winner.predicts)


def judge(
    rules: Sequence[MeantRule],
    never: Sequence[NeverFires],
    outputs: Iterable[Node],
    tokens: Sequence[str],
    *,
    causal: bool,
) -> Judged:
    """What rules say about a text, at its last position, and the values of expressions.

    Args:
        rules: those that can fire, in the order in which they are tried.
        never: the others.
        outputs: expressions that no rule needs to read.
        tokens: the text.
        causal: whether a position sees only itself and earlier ones.

    Raises:
        AssumptionError: the text breaks an assumption.
    """
    outputs = list(outputs)
    read = [each.node for rule in rules for each in rule.conditions]
    order = tuple(walk(*(node for rule in rules for node in rule.nodes), *read, *outputs))
    known = interpret_in(order, tokens, causal=causal)
    conditions = [tuple(_condition(each, known) for each in rule.conditions) for rule in rules]
    matches = [rule.condition is None or bool(known[rule.condition][-1]) for rule in rules]
    states = _states(matches, conditions)
    found = [
        Outcome(
            rule.number,
            rule.origin,
            str(known[rule.answer][-1]) if isinstance(rule.answer, Node) else likeliest(rule.answer),
            state,
            holding,
        )
        for rule, holding, state in zip(rules, conditions, states, strict=True)
    ]
    found += [Outcome(rule.number, rule.origin, None, "never") for rule in never]
    answers = [rule.answer for rule in rules if isinstance(rule.answer, Node)]
    return Judged(
        tuple(sorted(found, key=lambda each: each.number)),
        _shown([*answers, *read, *outputs], order, known),
        _by_text(known),
        _selects(order, known, causal),
    )


def _shown(
    nodes: Sequence[Node], order: Sequence[Node], known: Mapping[Node, Values]
) -> dict[Node, Values]:
    """The values of some expressions and of all that have a name, in the order of the graph."""
    named = {node for node in order if node.text.definition is not None}
    partial = {  # of a sum, whose name they have
        child
        for node in named
        for child in node.children
        if child in named and str(child.text) == str(node.text)
    }
    shown = {*nodes, *(named - partial)}
    return {
        node: known[node]
        for node in order
        if node in shown and not isinstance(node, Constant | Embedded)
    }


def _by_text(known: Mapping[Node, Values]) -> dict[str, Values]:
    return _unambiguous((str(node), values) for node, values in known.items())


def _selects(
    order: Sequence[Node], known: Mapping[Node, Values], causal: bool
) -> dict[str, tuple[bool, ...]]:
    found = []
    for node in order:
        if isinstance(node, Aggregate):
            for case in node.sources.cases:
                chosen = selected((case,), len(known[node]), known, causal)
                found.append((case_label(case), tuple(map(bool, chosen))))
    return _unambiguous(found)


def _unambiguous(pairs: Iterable[tuple[str, Of]]) -> dict[str, Of]:
    """What each text stands for, without the texts that stand for different things."""
    found: dict[str, Of] = {}
    doubtful = set()
    for text, of in pairs:
        if found.setdefault(text, of) != of:
            doubtful.add(text)
    return {text: of for text, of in found.items() if text not in doubtful}


def _states(matches: Sequence[bool], rules: Sequence[tuple[Condition, ...]]) -> Iterator[State]:
    """What becomes of each rule, by whether its flag is true and by its conditions."""
    misses = [sum(not condition.holds for condition in conditions) for conditions in rules]
    missing = [number for number, is_true in zip(misses, matches, strict=True) if not is_true]
    fewest = min(missing, default=0)
    decided = False
    for number, is_true in zip(misses, matches, strict=True):
        if is_true:
            yield "comes later" if decided else "fires"
            decided = True
        else:
            yield "nearly" if number == fewest else "does not"


def _condition(stated: MeantCondition, known: Mapping[Node, Values]) -> Condition:
    reads = {name: known[node][-1] for name, node in stated.reads.items()}
    return Condition(stated.text, bool(known[stated.node][-1]), reads)
