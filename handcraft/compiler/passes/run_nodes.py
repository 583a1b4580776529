"""The oracle for graphs with the nodes that passes make: every value on one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from operator import eq, mul

from handcraft.compiler.passes.ir import (
    Attend,
    Equal,
    IsBegin,
    IsText,
    Nearest,
    StepFunction,
    WeightedSum,
    Weights,
)
from handcraft.language.graph.domain import Plain, Value, as_number, magnitude, whole
from handcraft.language.graph.node import Node
from handcraft.language.oracle.interpret import Values, interpret


def run_nodes(nodes: Sequence[Node], tokens: Sequence[str], *, causal: bool) -> list[Values]:
    """The oracle, for graphs that also contain the nodes of `ir.py`."""
    return interpret(nodes, tokens, causal=causal, values=_values)


def _values(node: Node, length: int, known: dict[Node, Values], causal: bool) -> Values | None:
    if isinstance(node, Attend):
        return tuple(_brought(node, here, length, known, causal) for here in range(length))
    if isinstance(node, StepFunction):
        return tuple(node.values[_reached(node, here, known)] for here in range(length))
    if isinstance(node, IsText):
        return (True,) * length
    if isinstance(node, IsBegin):
        return (False,) * length
    if isinstance(node, Equal):
        return tuple(map(eq, known[node.one], known[node.other]))
    if isinstance(node, WeightedSum):
        rows = dict(node.rows)
        return tuple(_weighted(rows.get(here, ()), known[node.value]) for here in range(length))
    if isinstance(node, Nearest):
        return tuple(_nearest(node, as_number(number)) for number in known[node.number])
    return None


def _weighted(row: Weights, values: Values) -> Value:
    start: Plain = 0
    return whole(sum((weight * as_number(values[there]) for there, weight in row), start))


def _nearest(node: Nearest, number: Plain) -> Value:
    _, value = min(node.values, key=lambda pair: magnitude(pair[0] - number))
    return value


def matched(node: Attend, length: int, known: Mapping[Node, Values], *, causal: bool) -> list[bool]:
    """Whether a source satisfies all conditions, at each destination; else any value may be brought.

    Args:
        node: what attends.
        length: the number of positions.
        known: the values of what it reads.
        causal: whether a position sees no later ones.
    """
    return [min(_failing(node, here, length, known, causal)) <= 0 for here in range(length)]


def _failing(
    node: Attend, here: int, length: int, known: Mapping[Node, Values], causal: bool
) -> list[int]:
    """How many conditions each source fails to satisfy."""
    failing = [
        sum(not m.holds(known[m.key][there], known[m.query][here]) for m in node.case)
        - (node.slack if there == 0 else 0)
        for there in range(here + 1 if causal else length)
    ]
    if node.sunk:
        failing[0] = 0
    return failing


def _brought(node: Attend, here: int, length: int, known: dict[Node, Values], causal: bool) -> Value:
    failing = _failing(node, here, length, known, causal)
    seen = range(len(failing))
    if node.base:
        weights = [Fraction(node.base) ** -count for count in failing]
        values = (as_number(known[node.value][there]) for there in seen)
        return whole(Fraction(sum(map(mul, weights, values)) / sum(weights)))
    if node.begun and node.picks != "mean" and min(failing) > 0:
        return False
    if node.begun and node.picks == "mean":
        matching = [there for there in seen if failing[there] == 0]
        summed = sum(as_number(known[node.value][there]) for there in matching)
        return whole(Fraction(summed + isinstance(node.value, IsBegin)) / (len(matching) + 1))
    best = min(failing)
    if isinstance(node.value, IsText):
        return best <= 0
    fitting = [there for there in seen if failing[there] == best]
    if node.by is not None:
        numbers = [as_number(known[node.by][there]) for there in fitting]
        end = max(numbers) if node.picks == "latest" else min(numbers)
        fitting = [there for there, n in zip(fitting, numbers, strict=True) if n == end]
    chosen = [known[node.value][there] for there in fitting]
    if node.picks == "mean":
        return whole(Fraction(sum(as_number(v) for v in chosen)) / len(chosen))
    return chosen[-1] if node.picks == "latest" else chosen[0]


def _reached(step_function: StepFunction, here: int, known: dict[Node, Values]) -> int:
    reached = 0
    total: Plain = 0
    terms: tuple[tuple[Plain, Node], ...] = ()
    for threshold in step_function.thresholds:
        if threshold.terms != terms:  # the thresholds of a table have the same
            terms = threshold.terms
            total = sum(factor * as_number(known[node][here]) for factor, node in terms)
        reached += total >= threshold.at_least
    return reached
