"""What a program says about one prompt: which rule fires, which conditions hold, what values are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from handcraft.language.distribution import likeliest
from handcraft.language.graph.domain import FLAGS, Kind, Value
from handcraft.language.graph.node import (
    Aggregate,
    AtLeast,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Node,
    case_label,
    walk,
)
from handcraft.language.oracle.interpret import Values, interpret_in, selected
from handcraft.origin import Origin

if TYPE_CHECKING:
    from handcraft.language.meaning import MeantRule, NeverFires

Of = TypeVar("Of")

State: TypeAlias = Literal["fires", "comes later", "nearly", "does not", "never", "unknown"]
"""What becomes of a rule: it decides; it matches, but an earlier one decides; it does not match, and no
rule that does not lacks fewer conditions; it does not match, and others come nearer; it fires after no
prompt at all; or only its words are known, and no weight tells."""

READS = 4
"""How many values that a condition reads are shown with it."""


AND = {(one, other): one and other for one in (False, True) for other in (False, True)}
"""The table of the conjunction of two flags."""

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
    def answer(self) -> str:
        """The token that the rule predicts which fires."""
        return next(str(each.predicts) for each in self.outcomes if each.state == "fires")


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
    flags = [[] if rule.condition is None else [*conjuncts(rule.condition)] for rule in rules]
    read = [flag for each in flags for flag in each]
    order = tuple(walk(*(node for rule in rules for node in rule.nodes), *read, *outputs))
    known = interpret_in(order, tokens, causal=causal)
    conditions = [tuple(_condition(node, known) for node in each) for each in flags]
    found = [
        Outcome(
            rule.number,
            rule.origin,
            str(known[rule.answer][-1]) if isinstance(rule.answer, Node) else likeliest(rule.answer),
            state,
            holding,
        )
        for rule, holding, state in zip(rules, conditions, _states(conditions), strict=True)
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


def conjuncts(flag: Node) -> Iterator[Node]:
    """The flags whose conjunction is a flag; one that has a name is not taken apart."""
    waiting = [flag]
    while waiting:
        node = waiting.pop()
        parts = () if node.text.definition is not None else _of_conjunction(node)
        if parts:
            waiting += reversed(parts)
        else:
            yield node


def _of_conjunction(node: Node) -> Sequence[Node]:
    """The flags that all must be true where a flag is: of a table, or of a sum that reaches its bound.

    None where it is no conjunction.
    """
    if isinstance(node, AtLeast) and isinstance(node.number, Linear):
        added = node.number
        is_of_flags = all(factor == 1 and each.domain.kind is Kind.FLAG for factor, each in added.terms)
        is_all = node.bound - added.constant == len(added.terms)
        return added.children if is_of_flags and is_all and added.text.definition is None else ()
    if isinstance(node, Lookup) and len(node.arguments) == 2:
        is_of_flags = all(each.domain == FLAGS for each in node.arguments)
        if is_of_flags and dict(node.table) == AND:
            return node.arguments
    return ()


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
