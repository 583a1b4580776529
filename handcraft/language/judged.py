"""What a program says about one prompt: which rule fires, which conditions hold, what values are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from handcraft.language.decision import Decision, nodes_of
from handcraft.language.distribution import likeliest
from handcraft.language.graph.domain import FLAGS, Value
from handcraft.language.graph.node import (
    Aggregate,
    Constant,
    Embedded,
    Lookup,
    Node,
    case_label,
    walk,
)
from handcraft.language.oracle.interpret import Values, interpret_in, selected
from handcraft.language.rule import Rule

Of = TypeVar("Of")

State: TypeAlias = Literal["fires", "comes later", "nearly", "does not"]
"""What becomes of a rule: it decides; it matches, but an earlier one decides; it does not match, and no
rule that does not lacks fewer conditions; or it does not match, and others come nearer."""

READS = 4
"""How many values that a condition reads are shown with it."""


SHORT = 40
"""The most characters of the text of an expression without a name that is shown as read."""


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
        rule: the rule.
        predicts: the token that it predicts here, whether it fires or not.
        conditions: its conditions; none for a rule that always matches.
        state: what becomes of it.
    """

    number: int
    rule: Rule
    predicts: str
    conditions: tuple[Condition, ...]
    state: State

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


def judge(decisions: Sequence[Decision], tokens: Sequence[str], *, causal: bool) -> Judged:
    """What rules say about a text, at its last position.

    Raises:
        AssumptionError: the text breaks an assumption.
    """
    conjuncts = {id(d): [part for each in d.literals for part in _conjuncts(each)] for d in decisions}
    roots = [*nodes_of(decisions), *(node for each in conjuncts.values() for node in each)]
    order = tuple(walk(*roots))
    known = interpret_in(order, tokens, causal=causal)
    found = []
    for number, decision in enumerate(decisions, 1):
        conditions = tuple(_condition(node, known) for node in conjuncts[id(decision)])
        answer = decision.answer
        token = str(known[answer][-1]) if isinstance(answer, Node) else likeliest(answer)
        found.append((number, decision.rule, token, conditions))
    states = _states([conditions for *_, conditions in found])
    outcomes = tuple(Outcome(*each, state) for each, state in zip(found, states, strict=True))
    answers = [d.answer for d in decisions if isinstance(d.answer, Node)]
    read = [node for each in conjuncts.values() for node in each]
    shown = _shown([*answers, *read], order, known)
    return Judged(outcomes, shown, _by_text(known), _selects(order, known, causal))


def judge_values(nodes: Sequence[Node], tokens: Sequence[str], *, causal: bool) -> Judged:
    """The values of some expressions and of all that have a name, for a model without rules.

    Raises:
        AssumptionError: the text breaks an assumption.
    """
    order = tuple(walk(*nodes))
    known = interpret_in(order, tokens, causal=causal)
    return Judged((), _shown(nodes, order, known), _by_text(known), _selects(order, known, causal))


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


def _states(rules: Sequence[tuple[Condition, ...]]) -> Iterator[State]:
    misses = [sum(not condition.holds for condition in conditions) for conditions in rules]
    fewest = min((number for number in misses if number), default=0)
    decided = False
    for number in misses:
        if not number:
            yield "comes later" if decided else "fires"
            decided = True
        else:
            yield "nearly" if number == fewest else "does not"


def _conjuncts(flag: Node) -> Iterator[Node]:
    """The flags whose conjunction is a flag; one that has a name is not taken apart."""
    waiting = [flag]
    while waiting:
        node = waiting.pop()
        if node.text.definition is None and _is_conjunction(node):
            waiting += reversed(node.children)
        else:
            yield node


def _is_conjunction(node: Node) -> bool:
    return (
        isinstance(node, Lookup)
        and len(node.arguments) == 2
        and all(each.domain == FLAGS for each in node.arguments)
        and dict(node.table)
        == {(one, other): one and other for one in (False, True) for other in (False, True)}
    )


def _condition(node: Node, known: Mapping[Node, Values]) -> Condition:
    values = {str(each): known[each][-1] for each in _read_here(node) if each in known}
    return Condition(str(node), bool(known[node][-1]), dict([*values.items()][:READS]))


def _read_here(node: Node) -> Iterator[Node]:
    """The nearest values with a short text that a node reads at its own position."""
    waiting = [node]
    while waiting:
        reader = waiting.pop()
        if isinstance(reader, Aggregate):
            continue  # it reads other positions
        for child in reversed(reader.children):
            if isinstance(child, Constant):
                continue
            is_named = child.text.definition is not None or isinstance(child, Embedded)
            if is_named or (isinstance(child, Aggregate) and child.text.size <= SHORT):
                yield child
            else:
                waiting.append(child)
