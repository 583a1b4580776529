"""Numbers at position 0 that depend neither on its token nor on the output of heads."""

from __future__ import annotations

from handcraft.compiler.deep_calls import Call, finish, result_of
from handcraft.compiler.features.feature import Feature, Reading
from handcraft.compiler.passes.ir import StepFunction, is_scalar
from handcraft.language.graph.domain import Finite, Plain, Value, as_number
from handcraft.language.graph.node import Assumed, Constant, Lookup, Node, is_position


def number_at_start(reading: Reading) -> Plain | None:
    """The number that is read at position 0; None if it depends on the token."""
    total = reading.constant
    for factor, feature, i in reading.terms:
        number = _stored_at_start(feature, i)
        if number is None:
            return None
        total += factor * number
    return total


def _stored_at_start(feature: Feature, i: int) -> Plain | None:
    if feature.is_one_hot or feature.is_code or not isinstance(feature.node.domain, Finite):
        return None
    value = value_at_start(feature.node)
    numbers = feature.numbers_at(i)
    if value is None or not numbers:
        return None
    return numbers[feature.values.index(value)] - feature.constant(i)


def value_at_start(node: Node) -> Value | None:
    """The value at position 0; None if it depends on the token, or cannot be determined."""
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
        case StepFunction():
            return (yield from result_of(_of_step_function(node)))
    return 0 if is_position(node) else None


def _of_step_function(step_function: StepFunction) -> Call[Value | None]:
    """The value of a step function if bounds on its sums decide every threshold, else None."""
    reached = 0
    for threshold in step_function.thresholds:
        low: Plain = 0
        high: Plain = 0
        for factor, term in threshold.terms:
            if not isinstance(term.domain, Finite):
                return None
            value = yield from result_of(_value(term))
            values = term.domain.values if value is None else (value,)
            products = [factor * as_number(each) for each in values]
            low, high = low + min(products), high + max(products)
        if low < threshold.at_least <= high:
            return None
        reached += low >= threshold.at_least
    return step_function.values[reached]
