"""What is known of position 0, whatever its token and whatever heads bring there."""

from __future__ import annotations

from handcraft.compiler.deep_calls import Call, finish, result_of
from handcraft.compiler.features.feature import Held, Reading
from handcraft.compiler.passes.ir import Ladder, is_scalar
from handcraft.language.graph.domain import Finite, Plain, Value, as_number
from handcraft.language.graph.node import Assumed, Constant, Lookup, Node, is_position


def number_at_start(reading: Reading) -> Plain | None:
    """The number that is read at position 0; None where that depends on the token."""
    total = reading.constant
    for factor, held, i in reading.terms:
        number = _stored_at_start(held, i)
        if number is None:
            return None
        total += factor * number
    return total


def _stored_at_start(held: Held, i: int) -> Plain | None:
    if held.is_one_hot or held.is_bits or not isinstance(held.node.domain, Finite):
        return None
    value = value_at_start(held.node)
    numbers = next(numbers for numbers, place in held.numbers.items() if place == i)
    if value is None or not numbers:
        return None
    return numbers[held.values.index(value)] - held.constant(i)


def value_at_start(node: Node) -> Value | None:
    """The value at position 0; None where that depends on the token, or is not found out."""
    return finish(_value(node))


def _value(node: Node) -> Call[Value | None]:
    match node:
        case Constant():
            return node.value
        case Assumed() if not is_scalar(node):
            return (yield from result_of(_value(node.value)))
        case Lookup(arguments=(argument,)):
            value = yield from result_of(_value(argument))
            return None if value is None else node.table.get((value,))
        case Ladder():
            return (yield from result_of(_on_ladder(node)))
    return 0 if is_position(node) else None


def _on_ladder(ladder: Ladder) -> Call[Value | None]:
    """The value for the steps that are reached whatever the rest of their sums is."""
    reached = 0
    for rung in ladder.rungs:
        low: Plain = 0
        high: Plain = 0
        for factor, term in rung.terms:
            if not isinstance(term.domain, Finite):
                return None
            value = yield from result_of(_value(term))
            values = term.domain.values if value is None else (value,)
            products = [factor * as_number(each) for each in values]
            low, high = low + min(products), high + max(products)
        if low < rung.at_least <= high:
            return None
        reached += low >= rung.at_least
    return ladder.values[reached]
