"""Expressions as forms: what depends on the position alone, on one token alone, or on a sum."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise, product
from math import prod
from typing import TypeAlias

from handcraft.compiler.deep_calls import Call, finish, result_of
from handcraft.compiler.ordinal.form import Form, Look, Step, Weights
from handcraft.compiler.passes.step_function import find_steps
from handcraft.errors import AssumptionError, CompileError
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
from handcraft.language.oracle.interpret import Values, interpret, selected
from handcraft.limits import DEPTH

Numbers: TypeAlias = "Callable[[Value], Plain]"
"""What each value of an expression counts."""

Counted: TypeAlias = "Mapping[Value, Plain]"
"""The same as a table; what is not in it never is."""

SMALLEST_GAP = Fraction(1, 8)
"""No step is taken between numbers that lie nearer, their errors included."""


ROWS_UP_TO = 4096
"""The largest table over several expressions for which a sum is looked for."""


class NotASumError(CompileError):
    """An expression that is no sum of looks and steps."""


@dataclass
class Reader:
    """Reads expressions as forms.

    Args:
        tokens: of the vocabulary.
        context: the number of positions.
        destinations: the positions whose answers count.
        stands: for each position the tokens that may stand there, as places in the vocabulary.
        lines: the expressions that are not followed step by step: a line is laid through their values.
    """

    tokens: tuple[str, ...]
    context: int
    destinations: tuple[int, ...]
    stands: tuple[frozenset[int], ...]
    lines: frozenset[Node] = frozenset()
    bent: dict[Node, None] = field(default_factory=dict)
    _columns: dict[Node, Values] = field(default_factory=dict)
    _steps: dict[Hashable, Step] = field(default_factory=dict)
    _forms: dict[Hashable, Form] = field(default_factory=dict)
    _reads: dict[Node, frozenset[str]] = field(default_factory=dict)

    def read(self, node: Node, counted: Counted | None = None) -> Form:
        """What an expression counts, as a form. Expressions that take steps are noted in `bent`.

        An expression that is read twice is read once, and none waits on the stack of Python for
        another: expressions may be deep.

        Args:
            node: the expression.
            counted: what each of its values counts; None where it counts as the number that it is.

        Raises:
            NotASumError: it is none; it says which part.
        """
        return finish(self._read(node, counted))

    def _read(self, node: Node, counted: Counted | None) -> Call[Form]:
        key = node, None if counted is None else frozenset(counted.items())
        if key not in self._forms:
            self._forms[key] = yield from result_of(self._form(node, counted))
        return self._forms[key]

    def _form(self, node: Node, counted: Counted | None) -> Call[Form]:
        numbers: Numbers = as_number if counted is None else counted.__getitem__
        reads = self._hangs_on(node)
        if reads <= {"position"}:
            column = self._column(node)
            return Form({}, tuple(numbers(column[here]) for here in self.destinations))
        if reads == {"token"}:
            here: tuple[Weights, ...] = tuple(((d, 1),) for d in self.destinations)
            return self._look(node, here, self._by_token(node, numbers))
        match node:
            case Assumed():
                return (yield from result_of(self._assumed(node, counted)))
            case Lookup():
                return (yield from result_of(self._looked_up(node, numbers)))
            case Aggregate() if node.value is not None:
                return self._aggregate(node, numbers)
            case AtLeast():
                bound = node.bound
                reaches: Numbers = lambda v: numbers(as_number(v) >= bound)  # noqa: E731
                return (yield from result_of(self._ladder(node, node.number, reaches)))
            case Linear() if counted is None:
                return (yield from result_of(self._sum(node)))
            case Linear():
                return (yield from result_of(self._ladder(node, node, numbers)))
        raise _no_sum(node)

    def _sum(self, node: Linear) -> Call[Form]:
        form = Form({}, tuple(node.constant for _ in self.destinations))
        for factor, term in node.terms:
            read = yield from result_of(self._read(term, None))
            form = form.plus(read.times(factor))
        return form

    def _assumed(self, node: Assumed, counted: Counted | None) -> Call[Form]:
        if counted is None or not isinstance(node.domain, Finite):
            return (yield from result_of(self._read(node.value, counted)))
        if isinstance(node.value, Linear):
            return (yield from result_of(self._ladder(node, node, counted.__getitem__)))
        known = _counted(counted.__getitem__, node.domain.values)
        return (yield from result_of(self._read(node.value, known)))

    def _looked_up(self, node: Lookup, numbers: Numbers) -> Call[Form]:
        """A table over what is no constant among its arguments: over one expression only."""
        fixed = {
            i: self._fixed(argument)
            for i, argument in enumerate(node.arguments)
            if self._fixed(argument) is not None
        }
        free = [i for i in range(len(node.arguments)) if i not in fixed]
        if len(free) > 1:
            return (yield from result_of(self._table(node, free, fixed, numbers)))
        (place,) = free

        def through(value: Value) -> Plain:
            key = tuple(value if i == place else fixed[i] for i in range(len(node.arguments)))
            return numbers(node.table[key])

        argument = node.arguments[place]
        assert isinstance(argument.domain, Finite)
        if argument.domain.kind is Kind.NUMBER:
            return (yield from result_of(self._ladder(node, argument, through)))
        return (yield from result_of(self._read(argument, _counted(through, argument.domain.values))))

    def _fixed(self, node: Node) -> Value | None:
        """The value that an expression has at every destination, where that depends on nothing else."""
        if not self._hangs_on(node) <= {"position"}:
            return None
        column = self._column(node)
        found = {(isinstance(column[d], bool), column[d]) for d in self.destinations}
        return found.pop()[1] if len(found) == 1 else None

    def _ladder(self, node: Node, argument: Node, numbers: Numbers) -> Call[Form]:
        """A function of a number: a line where it is one, else a line and steps beside it."""
        if not isinstance(argument.domain, Finite):
            raise _no_sum(argument)
        values, wanted = [], []
        for value in argument.domain.values:
            try:
                wanted.append(numbers(value))
                values.append(as_number(value))
            except KeyError:  # it never is that
                continue
        if len(set(wanted)) == 1:
            return Form({}, tuple(wanted[0] for _ in self.destinations))
        return self._bent(node, (yield from result_of(self._read(argument, None))), values, wanted)

    def _table(
        self, node: Lookup, free: Sequence[int], fixed: Mapping[int, Value], numbers: Numbers
    ) -> Call[Form]:
        """A table over several expressions: a function of a weighted sum of them."""
        arguments = [node.arguments[i] for i in free]
        if not all(isinstance(argument.domain, Finite) for argument in arguments):
            raise _no_sum(node)
        domains = [a.domain.values for a in arguments if isinstance(a.domain, Finite)]
        if prod(map(len, domains)) > ROWS_UP_TO:
            raise _no_sum(node)
        table: dict[tuple[Value, ...], Value] = {}
        for row in product(*domains):
            known = dict(zip(free, row, strict=True)) | dict(fixed)
            try:
                table[row] = numbers(node.table[tuple(known[i] for i in range(len(node.arguments)))])
            except KeyError:  # it never is that, and a sum would have to be something there
                raise _no_sum(node) from None
        steps = find_steps(table, domains, None)
        wanted: dict[Plain, Plain] = {}
        for row, number in table.items():
            total = sum(w[v] for w, v in zip(steps.weights, row, strict=True))
            wanted[total] = as_number(number)
        form = Form({}, self._zeros)
        for argument, weights in zip(arguments, steps.weights, strict=True):
            read = yield from result_of(self._read(argument, weights))
            form = form.plus(read)
        sums = sorted(wanted)
        return self._bent(node, form, sums, [wanted[total] for total in sums])

    def _bent(self, node: Node, form: Form, values: Sequence[Plain], wanted: Sequence[Plain]) -> Form:
        """A function of a form: a line where it is one, else a line and steps beside it."""
        pairs = list(pairwise(zip(values, wanted, strict=True)))
        slopes = [Fraction(w - v) / (y - x) for (x, v), (y, w) in pairs]
        if len(set(slopes)) > 1:
            self.bent[node] = None
        if node in self.lines or len(set(slopes)) == 1:
            slope, constant, error = nearest_line(values, wanted)
            return form.times(slope).shifted(constant).blurred(-error, error)
        slope = max(slopes, key=slopes.count)
        total = form.times(slope).shifted(wanted[0] - slope * values[0])
        for (x, v), (y, w) in pairs:
            jump = w - v - slope * (y - x)
            if jump:
                total = total.plus(Form({self._step(node, form, x, y): jump}, self._zeros))
        return total

    def _step(self, node: Node, form: Form, below: Plain, above: Plain) -> Step:
        """Whether a form means at least `above`, where it never means anything in between."""
        key = (frozenset(form.terms.items()), form.constants, above)
        if key not in self._steps:
            if form.depth >= DEPTH.most:
                raise NotASumError(
                    f"`{node}` takes more than {DEPTH.most} layers of steps, one after the other",
                    where=node.place,
                    fix="compile it without optimize",
                )
            step = Step(form, below, above, node.origin, f"{node}, from {above}")
            low, high = step.space
            if high - low < SMALLEST_GAP:
                raise NotASumError(
                    f"`{node}` depends on a sum with an error bound of {float(form.error):g}"
                )
            self._steps[key] = step
        return self._steps[key]

    def _aggregate(self, node: Aggregate, numbers: Numbers) -> Form:
        """What is brought from positions that depend on the destination alone."""
        value, reads = (
            node.value,
            {name for child in node.sources.children for name in self._hangs_on(child)},
        )
        assert value is not None
        if not reads <= {"position"} or not self._hangs_on(value) <= {"token"}:
            raise _no_sum(node)
        columns = {child: self._column(child) for child in node.sources.children}
        chosen = selected(node.sources.cases, self.context, columns, causal=True)
        default = 0 if node.default is None else numbers(node.default)
        sources: list[Weights] = []
        constants: list[Plain] = []
        for here in self.destinations:
            found = chosen[here]
            if found and node.how in ("latest", "earliest"):
                found = [found[-1 if node.how == "latest" else 0]]
            sources.append(tuple((there, Fraction(1, len(found))) for there in found))
            constants.append(0 if found else default)
        look = self._look(value, tuple(sources), self._by_token(value, numbers), node)
        return look.plus(Form({}, tuple(constants)))

    def _look(
        self,
        value: Node,
        sources: tuple[Weights, ...],
        by_token: tuple[Plain | None, ...],
        node: Node | None = None,
    ) -> Form:
        looked_at = {there for found in sources for there, _ in found}
        stand = frozenset[int]().union(*(self.stands[there] for there in looked_at))
        known = tuple(number if i in stand else None for i, number in enumerate(by_token))
        if not any(known):
            return Form({}, self._zeros)
        return Form({Look(sources, known, ((node or value).origin,)): 1}, self._zeros)

    def _hangs_on(self, node: Node) -> frozenset[str]:
        """Whether an expression reads ``token``, ``position``, or is brought from ``elsewhere``."""
        for each in () if node in self._reads else walk(node):
            found = frozenset[str]().union(*(self._reads[child] for child in each.children))
            if isinstance(each, Embedded):
                found |= {each.of}
            elif isinstance(each, Aggregate):
                found |= {"elsewhere"}
            self._reads[each] = found
        reads = self._reads[node]
        if "token" not in reads:  # counts and positions of selections by position
            return reads - {"elsewhere"}
        return reads

    @property
    def _zeros(self) -> tuple[Plain, ...]:
        return tuple(0 for _ in self.destinations)

    def _column(self, node: Node) -> Values:
        """The values at every position of an expression that depends on nothing else."""
        if node not in self._columns:
            text = self.tokens[:1] * self.context
            try:
                (self._columns[node],) = interpret([node], text, causal=True)
            except AssumptionError as error:
                raise NotASumError(error.what, where=node.place) from None
        return self._columns[node]

    def _by_token(self, node: Node, numbers: Numbers) -> tuple[Plain | None, ...]:
        """The number of an expression for each value of one token; None for values that never occur."""
        found: list[Plain | None] = []
        for token in self.tokens:
            try:
                ((value,),) = interpret([node], [token], causal=True)
                found.append(numbers(value))
            except (AssumptionError, KeyError):
                found.append(None)
        return tuple(found)


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
    """What some values count, as a table: what is read through a chain of tables is read once."""
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
