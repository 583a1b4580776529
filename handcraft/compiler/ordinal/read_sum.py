"""Expressions as sums of what depends on the position alone, on one token alone, or on such a sum."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise, product
from math import prod
from typing import Self, TypeAlias

from handcraft.compiler.deep_calls import Call, finish, result_of
from handcraft.compiler.ordinal.approximate_sum import ApproximateSum
from handcraft.compiler.ordinal.codes import by_token
from handcraft.compiler.passes.ir import StepFunction, WeightedSum, Weights, note_slots
from handcraft.compiler.passes.tables.step_function import find_steps
from handcraft.errors import AssumptionError, CompileError
from handcraft.language import Prompts
from handcraft.language.graph.domain import Finite, Kind, Plain, Value, as_number
from handcraft.language.graph.node import (
    Aggregate,
    Assumed,
    AtLeast,
    Embedded,
    Linear,
    Lookup,
    Node,
    walk,
)
from handcraft.language.graph.wording import reads
from handcraft.language.oracle.interpret import Values, interpret, selected
from handcraft.limits import DEPTH

Numbers: TypeAlias = "Callable[[Value], Plain]"
"""The number that each value of an expression stands for."""

Counted: TypeAlias = "Mapping[Value, Plain]"
"""The same as a table; values that are not in it do not occur."""

SMALLEST_GAP = Fraction(1, 8)
"""The smallest distance between numbers, errors included, that a step may separate."""


ROWS_UP_TO = 4096
"""The largest table over several expressions that is tried as a function of a sum."""


class NotASumError(CompileError):
    """An expression that is no sum of numbers of tokens and of steps."""


@dataclass
class Reader:
    """Reads expressions as sums.

    Args:
        prompts: decides tokens and positions.
        ends: the positions at which something is predicted.
        stands: for each position the tokens that may occur there, by their ids.
        fitted: the expressions that become a linear fit instead of steps.
        bent: the expressions that need steps, in the order in which they were read.
    """

    prompts: Prompts
    ends: frozenset[int]
    stands: tuple[frozenset[int], ...]
    fitted: frozenset[Node] = frozenset()
    bent: dict[Node, None] = field(default_factory=dict, init=False)
    _columns: dict[Node, Values] = field(default_factory=dict)
    _sums: dict[Hashable, ApproximateSum] = field(default_factory=dict, init=False)
    _reads: dict[Node, frozenset[str]] = field(default_factory=dict)
    _slots: dict[Node, int] = field(default_factory=dict)

    @classmethod
    def of(cls, prompts: Prompts, answers: Container[Value]) -> Self:
        """A reader that knows, from the prompt grammar and `bos`, which tokens may occur where.

        Args:
            prompts: which texts are allowed.
            answers: the tokens that the program may write.

        Raises:
            NotASumError: no text is allowed.
        """
        tokens, everywhere = prompts.vocabulary.tokens, range(prompts.context)
        if not prompts.refuses_some:
            any_token = frozenset(range(len(tokens)))
            return cls(prompts, frozenset(everywhere), tuple(any_token for _ in everywhere))
        lengths = [n for n in range(1, prompts.longest_input + 1) if prompts.texts.count_of(n)]
        ends = {n - 1 + written for n in lengths for written in range(prompts.writes)}
        if not ends.intersection(everywhere):
            raise NotASumError("no text is an allowed prompt")
        own = frozenset(i for i, token in enumerate(tokens) if token in answers)
        first = min(lengths) if prompts.writes > 1 else prompts.context
        there = [*prompts.texts.tokens_at(), *[frozenset[int]()] * (prompts.writes - 1)]
        stands = (each | own if here >= first else each for here, each in enumerate(there))
        return cls(prompts, frozenset(ends.intersection(everywhere)), tuple(stands))

    def read(self, node: Node, counted: Counted | None = None) -> ApproximateSum:
        """An expression as a sum.

        Every expression is read only once, and without recursion: expressions may be deep.

        Args:
            node: the expression.
            counted: the number for each of its values; None where it is itself a number.

        Raises:
            NotASumError: it is no sum; the error names the part that is not.
        """
        return finish(self._read(node, counted))

    def _read(self, node: Node, counted: Counted | None) -> Call[ApproximateSum]:
        key = node, None if counted is None else frozenset(counted.items())
        if key not in self._sums:
            self._sums[key] = yield from result_of(self._sum(node, counted))
        return self._sums[key]

    def _sum(self, node: Node, counted: Counted | None) -> Call[ApproximateSum]:
        numbers: Numbers = as_number if counted is None else counted.__getitem__
        depends = self._depends_on(node)
        if depends <= {"position"}:
            column = self._column(node)
            return self._constant(lambda here: numbers(column[here]))
        if depends == {"token"}:
            return self._weigh(node, lambda here: ((here, 1),), numbers, node)
        match node:
            case Assumed():
                return (yield from result_of(self._assumed(node, counted)))
            case Lookup():
                return (yield from result_of(self._looked_up(node, numbers)))
            case Aggregate() if node.value is not None:
                return self._aggregate(node, node.value, numbers)
            case AtLeast():
                bound = node.bound
                reaches: Numbers = lambda v: numbers(as_number(v) >= bound)  # noqa: E731
                return (yield from result_of(self._function(node, node.number, reaches)))
            case Linear() if counted is None:
                total = self._constant(lambda _: node.constant)
                for factor, term in node.terms:
                    total = total.plus((yield from result_of(self._read(term, None))).times(factor))
                return total
            case Linear():
                return (yield from result_of(self._function(node, node, numbers)))
        raise _no_sum(node)

    def _assumed(self, node: Assumed, counted: Counted | None) -> Call[ApproximateSum]:
        if counted is None or not isinstance(node.domain, Finite):
            return (yield from result_of(self._read(node.value, counted)))
        if isinstance(node.value, Linear):
            return (yield from result_of(self._function(node, node, counted.__getitem__)))
        known = _counted(counted.__getitem__, node.domain.values)
        return (yield from result_of(self._read(node.value, known)))

    def _looked_up(self, node: Lookup, numbers: Numbers) -> Call[ApproximateSum]:
        """A table over those of its arguments that are not constant."""
        known = ((i, self._fixed(argument)) for i, argument in enumerate(node.arguments))
        fixed = {i: value for i, value in known if value is not None}
        free = [i for i in range(len(node.arguments)) if i not in fixed]

        def through(*values: Value) -> Plain:
            key = fixed | dict(zip(free, values, strict=True))
            return numbers(node.table[tuple(key[i] for i in range(len(key)))])

        arguments = [node.arguments[i] for i in free]
        if len(free) > 1:
            return (yield from result_of(self._table(node, arguments, through)))
        (argument,) = arguments
        assert isinstance(argument.domain, Finite)
        if argument.domain.kind is Kind.NUMBER:
            return (yield from result_of(self._function(node, argument, through)))
        return (yield from result_of(self._read(argument, _counted(through, argument.domain.values))))

    def _fixed(self, node: Node) -> Value | None:
        """The value of an expression, if it is the same wherever something is predicted."""
        if not self._depends_on(node) <= {"position"}:
            return None
        column = self._column(node)
        found = {(isinstance(column[here], bool), column[here]) for here in self.ends}
        return found.pop()[1] if len(found) == 1 else None

    def _function(self, node: Node, argument: Node, numbers: Numbers) -> Call[ApproximateSum]:
        """A function of a number: linear if possible, else linear plus steps."""
        if not isinstance(argument.domain, Finite):
            raise _no_sum(argument)
        points = {as_number(v): n for v, n in _counted(numbers, argument.domain.values).items()}
        if len(set(points.values())) == 1:
            return self._constant(lambda _: next(iter(points.values())))
        return self._bent(node, (yield from result_of(self._read(argument, None))), points)

    def _table(
        self, node: Lookup, arguments: Sequence[Node], through: Callable[..., Plain]
    ) -> Call[ApproximateSum]:
        """A table over several expressions: a function of a weighted sum of them."""
        domains = [a.domain.values for a in arguments if isinstance(a.domain, Finite)]
        if len(domains) < len(arguments) or prod(map(len, domains)) > ROWS_UP_TO:
            raise _no_sum(node)
        try:
            table: dict[tuple[Value, ...], Value] = {row: through(*row) for row in product(*domains)}
        except KeyError:  # some row never occurs, and a sum would have to be something there
            raise _no_sum(node) from None
        weights = find_steps(table, domains, None).weights
        points: dict[Plain, Plain] = {}
        for row, number in table.items():
            points[sum(w[v] for w, v in zip(weights, row, strict=True))] = as_number(number)
        total = self._constant(lambda _: 0)
        for argument, counted in zip(arguments, weights, strict=True):
            total = total.plus((yield from result_of(self._read(argument, counted))))
        return self._bent(node, total, dict(sorted(points.items())))

    def _bent(self, node: Node, total: ApproximateSum, points: Mapping[Plain, Plain]) -> ApproximateSum:
        """A function of a sum: linear if possible, else linear plus steps.

        Args:
            node: the expression.
            total: the sum.
            points: in order, the possible values of the sum and of the function there.
        """
        pairs = list(pairwise(points.items()))
        slopes = [Fraction(w - v) / (y - x) for (x, v), (y, w) in pairs]
        if len(set(slopes)) > 1:
            self.bent[node] = None
        if node in self.fitted or len(set(slopes)) == 1:
            slope, constant, error = nearest_line([*points], [*points.values()])
            return total.times(slope).shifted(constant).blurred(error)
        slope = max(slopes, key=slopes.count)
        (x, v), _ = pairs[0]
        found = total.times(slope).shifted(v - slope * x)
        for (x, v), (y, w) in pairs:
            if jump := w - v - slope * (y - x):
                found = found.plus(total.only(self._step(node, total, x, y)).times(jump))
        return found

    def _step(self, node: Node, total: ApproximateSum, below: Plain, above: Plain) -> StepFunction:
        """Whether a sum reaches `above`; it never has a value between the two bounds."""
        step = total.step(below, above, reads(node, f", from {above}"), node.place)
        if note_slots(step, self._slots) > 2 * DEPTH.most:
            raise NotASumError(
                f"`{node}` takes more than {DEPTH.most} layers of steps, one after the other",
                where=node.place,
                fix="compile it without optimize",
            )
        if step.thresholds[0].gap < SMALLEST_GAP:
            raise NotASumError(
                f"`{node}` depends on a sum with an error bound of {float(total.error):g}"
            )
        return step

    def _aggregate(self, node: Aggregate, value: Node, numbers: Numbers) -> ApproximateSum:
        """What is read at positions that depend on the destination alone."""
        selecting = node.sources.children
        depends = {name for child in selecting for name in self._depends_on(child)}
        if not depends <= {"position"} or not self._depends_on(value) <= {"token"}:
            raise _no_sum(node)
        columns = {child: self._column(child) for child in selecting}
        chosen = selected(node.sources.cases, self.prompts.context, columns, causal=True)
        default = 0 if node.default is None else numbers(node.default)

        def row(here: int) -> Weights:
            found = chosen[here]
            if found and node.how in ("latest", "earliest"):
                found = [found[-1 if node.how == "latest" else 0]]
            return tuple((there, Fraction(1, len(found))) for there in found)

        read = self._weigh(value, row, numbers, node)
        return read.plus(self._constant(lambda here: 0 if chosen[here] else default))

    def _weigh(
        self, value: Node, sources: Callable[[int], Weights], numbers: Numbers, node: Node
    ) -> ApproximateSum:
        """A number of the token at some sources; tokens that never occur there have none."""
        rows = [(here, sources(here)) for here in sorted(self.ends)]
        places = {there for _, row in rows for there, _ in row}
        stand = frozenset[int]().union(*(self.stands[there] for there in places))
        known: list[Plain | None] = []
        for i, token in enumerate(self.prompts.vocabulary.tokens):
            try:
                ((found,),) = interpret([value], [token], causal=True)
                known.append(numbers(found) if i in stand else None)
            except (AssumptionError, KeyError):  # it never stands there
                known.append(None)
        zero = self._constant(lambda _: 0)
        if not any(known):
            return zero
        number = by_token(self.prompts.vocabulary, known, reads("number of ", value))
        return zero.only(WeightedSum.of(number, rows, node))

    def _depends_on(self, node: Node) -> frozenset[str]:
        """Whether it depends on ``token``, ``position``, or what is read ``elsewhere``."""
        for each in () if node in self._reads else walk(node):
            found = frozenset[str]().union(*(self._reads[child] for child in each.children))
            if isinstance(each, Embedded):
                found |= {each.of}
            elif isinstance(each, Aggregate):
                found |= {"elsewhere"}
            self._reads[each] = found
        reads = self._reads[node]
        # counts and positions of selections by position depend on the position alone
        return reads if "token" in reads else reads - {"elsewhere"}

    def _constant(self, number: Callable[[int], Plain]) -> ApproximateSum:
        """A number for each position at which something is predicted."""
        places = range(self.prompts.context)
        return ApproximateSum({}, tuple(number(i) if i in self.ends else None for i in places))

    def _column(self, node: Node) -> Values:
        """The values at every position of an expression that depends on the position alone."""
        if node not in self._columns:
            text = self.prompts.vocabulary.tokens[:1] * self.prompts.context
            try:
                (self._columns[node],) = interpret([node], text, causal=True)
            except AssumptionError as error:
                raise NotASumError(error.what, where=node.place) from None
        return self._columns[node]


def nearest_line(values: Sequence[Plain], wanted: Sequence[Plain]) -> tuple[Plain, Plain, Plain]:
    """Slope, constant and error of the line whose largest error is smallest.

    Such a line is parallel to one through two neighbouring corners of the points' convex hull
    (Chebyshev's alternation: three points have the largest error, two of them on the same side).

    >>> slope, constant, error = nearest_line([-1, 0, 9, 10], [0, 0, 1, 1])
    >>> print(slope, constant, error)
    1/10 1/20 1/20
    """
    points = sorted(set(zip(values, wanted, strict=True)))
    best: tuple[Plain, Plain, Plain] | None = None
    for corners in (_hull(points, 1), _hull(points, -1)):
        for (x, v), (y, w) in pairwise(corners):
            if x == y:
                continue
            slope = Fraction(w - v) / (y - x)
            rests = [number - slope * value for value, number in points]
            error = (max(rests) - min(rests)) / 2
            if best is None or error < best[2]:
                best = slope, (max(rests) + min(rests)) / 2, error
    assert best is not None
    return best


def _hull(points: Sequence[tuple[Plain, Plain]], side: int) -> list[tuple[Plain, Plain]]:
    """The corners above (1) or below (-1) all points, which are in order."""
    corners: list[tuple[Plain, Plain]] = []
    for x, y in points:
        while len(corners) > 1:
            (a, b), (c, d) = corners[-2:]
            if side * ((c - a) * (y - b) - (d - b) * (x - a)) < 0:
                break
            corners.pop()
        corners.append((x, y))
    return corners


def _counted(numbers: Numbers, values: Iterable[Value]) -> Counted:
    """The numbers of some values as a table; a chain of tables becomes one."""
    found: dict[Value, Plain] = {}
    for value in values:
        try:
            found[value] = numbers(value)
        except KeyError:  # it never is that
            continue
    return found


def _no_sum(node: Node) -> NotASumError:
    return NotASumError(
        f"`{node}` is not a sum of numbers of single tokens and of thresholds on such sums",
        where=node.place,
        fix="compile it without optimize",
    )
