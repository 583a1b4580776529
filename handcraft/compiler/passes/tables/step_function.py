"""A table over several values as a step function of one weighted sum.

Any table is one: count the combinations as digits of a number. Often a better sum is to be had,
along which the table changes seldom: a sum of the numbers themselves, or one that a linear program
finds. Every change is a neuron.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, permutations, product

import numpy as np
import numpy.typing as npt

from handcraft.compiler.passes.ir import between
from handcraft.language.graph.domain import Kind, Plain, Value, as_number, kind_of

Ints = npt.NDArray[np.int64]

PROGRAM_ROWS_UP_TO = 3000
"""The largest table for which a linear program looks for weights; alike rows count once."""

GROUPED_ROWS_UP_TO = 20_000
"""The largest table in which sums of some arguments are tried as digits: each way sorts its rows."""

SIGNS_UP_TO = 7
"""For how many arguments a sum is tried with every choice of signs: there are 2^6 then."""

MANY = 64
"""Of two sums with equally many thresholds, one that tells fewer values apart is taken."""

LARGEST = 1 << 20
"""No weighted sum is larger, so that floats add it exactly."""


@dataclass(frozen=True)
class Steps:
    """A step function of a weighted sum.

    Args:
        weights: for each argument, the number that each of its values counts.
        changes: where the value changes, in order: the last sum before and the first one after.
        values: the value before the first change, between the first and the second, and so on.
    """

    weights: tuple[Mapping[Value, Plain], ...]
    changes: tuple[tuple[Plain, Plain], ...]
    values: tuple[Value, ...]

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def reads_many(self) -> bool:
        """Whether many values of an argument count differently, which may take a threshold for each."""
        return any(len(set(each.values())) > MANY for each in self.weights)

    @property
    def thresholds(self) -> tuple[tuple[Plain, Plain], ...]:
        """The threshold of each change, with its gap."""
        return tuple(between(below, above) for below, above in self.changes)


def find_steps(
    table: Mapping[tuple[Value, ...], Value],
    domains: Sequence[tuple[Value, ...]],
    scalar: int | None,
) -> Steps:
    """The step function with the fewest steps that was found.

    A program is planned in several ways, which search the same tables again: the last ones are kept.

    Args:
        table: the value for every combination that can occur.
        domains: the values of each argument.
        scalar: the argument of which only a multiple can be added up, if there is one.
    """
    outputs = tuple(map(_typed, table.values()))
    return _known_steps(tuple(table), outputs, tuple(tuple(map(_typed, d)) for d in domains), scalar)


@lru_cache(maxsize=256)
def _known_steps(
    rows: tuple[tuple[Value, ...], ...],
    outputs: tuple[tuple[bool, Value], ...],
    domains: tuple[tuple[tuple[bool, Value], ...], ...],
    scalar: int | None,
) -> Steps:
    table = {row: value for row, (_, value) in zip(rows, outputs, strict=True)}
    return _Search(table, [tuple(value for _, value in domain) for domain in domains], scalar).best()


def additive(
    table: Mapping[tuple[Value, ...], Value], domains: Sequence[tuple[Value, ...]]
) -> tuple[tuple[Mapping[Value, Plain], ...], Plain] | None:
    """A table of numbers as a sum of one number for each argument and a constant, if it is one."""
    rows = list(table.items())
    if any(kind_of(value) is Kind.CATEGORY for _, value in rows):
        return None
    if len(domains) == 2:
        return _additive_pair(table, domains)
    origin, start = rows[0]
    constant = as_number(start)
    parts: list[dict[Value, Plain]] = []
    for i, domain in enumerate(domains):
        part: dict[Value, Plain] = {}
        for value in domain:
            row = (*origin[:i], value, *origin[i + 1 :])
            if row not in table:
                return None
            part[value] = as_number(table[row]) - constant
        parts.append(part)
    for row, value in rows:
        total = sum((part[v] for part, v in zip(parts, row, strict=True)), constant)
        if total != as_number(value):
            return None
    return tuple(parts), constant


def _additive_pair(
    table: Mapping[tuple[Value, ...], Value], domains: Sequence[tuple[Value, ...]]
) -> tuple[tuple[Mapping[Value, Plain], ...], Plain] | None:
    """The same for two arguments, also where not every pair occurs: a row ties one to the other."""
    ties: dict[tuple[int, Value], list[tuple[tuple[int, Value], Plain]]] = {}
    for (one, other), value in table.items():
        ties.setdefault((0, one), []).append(((1, other), as_number(value)))
        ties.setdefault((1, other), []).append(((0, one), as_number(value)))
    found: dict[tuple[int, Value], Plain] = {}
    for start in ties:
        if start in found:
            continue
        found[start] = 0
        waiting = [start]
        while waiting:
            here = waiting.pop()
            for there, total in ties[here]:
                if there not in found:
                    found[there] = total - found[here]
                    waiting.append(there)
                elif found[there] + found[here] != total:
                    return None
    parts = tuple({v: found.get((i, v), 0) for v in domain} for i, domain in enumerate(domains))
    return parts, 0


class _Search:
    def __init__(
        self,
        table: Mapping[tuple[Value, ...], Value],
        domains: Sequence[tuple[Value, ...]],
        scalar: int | None,
    ) -> None:
        self.domains = domains
        self.scalar = scalar
        self.rows: Ints = np.empty((len(table), len(domains)), dtype=np.int64)
        for i, column in enumerate(zip(*table, strict=True)):
            self.rows[:, i] = _places(column, domains[i])
        outputs = list(map(_typed, table.values()))
        self.values = list(dict.fromkeys(outputs))
        self.outputs = _places(outputs, self.values)
        self.classes = [self._classes(i) for i in range(len(domains))]

    def best(self) -> Steps:
        """Try sums of numbers, sums of classes, digits in every order, and a linear program.

        Where all this takes more steps than there are values, a sum of some arguments is tried as a
        digit beside the others.
        """

        def rank(steps: Steps) -> tuple[int, bool]:
            return len(steps), steps.reads_many

        best = min((*self._sums(), *self._digits()), key=rank)
        if len(best) > len(self.values) - 1 and len(self.rows) <= GROUPED_ROWS_UP_TO:
            best = min((best, *self._grouped()), key=rank)
        if len(best) > len(self.values) - 1 and self.scalar is None:
            found = self._programmed(len(best))
            best = found if found is not None and len(found) < len(best) else best
        return best

    def _classes(self, i: int) -> Ints:
        """For each value of an argument its class: values of one class always give the same."""
        size = len(self.domains[i])
        if i == self.scalar:
            return np.arange(size)
        other: Ints = np.zeros(len(self.rows), dtype=np.int64)  # the others together, numbered
        for j, domain in enumerate(self.domains):
            if j != i:
                _, other = np.unique(other * len(domain) + self.rows[:, j], return_inverse=True)
        signatures: dict[bytes, int] = {}
        classes = np.zeros(size, dtype=np.int64)
        width = int(other.max(initial=0)) + 1
        columns = np.full((size, width), -1, dtype=np.int64)
        columns[self.rows[:, i], other] = self.outputs
        for value in range(size):
            classes[value] = signatures.setdefault(columns[value].tobytes(), len(signatures))
        return classes

    def _sums(self) -> list[Steps]:
        """Sums and differences of the values, where they are whole numbers, and of their classes."""
        found: list[Steps] = []
        scales: list[list[Ints]] = []
        if all(all(isinstance(v, int) for v in domain) for domain in self.domains):
            scales.append([np.array([int(v) for v in d]) for d in self.domains])  # type: ignore[call-overload]
        if self.scalar is None:
            scales.append(self.classes)
        for scale in scales:
            for signs in self._signs(scale):
                weights = [sign * s for sign, s in zip(signs, scale, strict=True)]
                steps = self._along(weights)
                if steps is not None:
                    found.append(steps)
        return found

    def _signs(self, scale: Sequence[Ints]) -> Iterator[Sequence[int]]:
        """With which sign each argument may be added up: all ways, or the likely one of many.

        Where the output rises with an argument, or falls, whatever the others are, both grow together
        on average or they do not (Chow 1961, of threshold functions).
        """
        count = len(scale)
        if count <= SIGNS_UP_TO:
            yield from ((1, *signs) for signs in product((1, -1), repeat=count - 1))
            return
        plain = [value for _, value in self.values]
        if any(kind_of(value) is Kind.CATEGORY for value in plain):
            yield (1,) * count
            return
        numbers = np.array([float(as_number(value)) for value in plain])[self.outputs]
        numbers -= numbers.mean()
        rises = [float(s[self.rows[:, i]] @ numbers) >= 0 for i, s in enumerate(scale)]
        yield [1 if rise is rises[0] else -1 for rise in rises]

    def _digits(self) -> list[Steps]:
        """Combinations as digits, in every order of the arguments; a scalar is the last digit."""
        moving = [i for i in range(len(self.domains)) if i != self.scalar]
        orders = permutations(moving) if len(moving) <= 4 else [tuple(moving)]
        if self.scalar is not None:
            return [self._over_scalar(order) for order in orders]
        found = []
        for order in orders:
            weights: list[Ints] = [np.zeros(0, dtype=np.int64)] * len(self.domains)
            stride = 1
            for i in reversed(order):
                weights[i] = self.classes[i] * stride
                stride *= int(self.classes[i].max()) + 1
            steps = self._along(weights)
            assert steps is not None
            found.append(steps)
        return found

    def _grouped(self) -> Iterator[Steps]:
        """Digits, one of which is the sum of some arguments by their classes, added or subtracted."""
        count = len(self.domains)
        if self.scalar is not None or not 2 < count <= 4:
            return
        sizes = [int(classes.max()) for classes in self.classes]  # the largest class of each
        for group in (g for size in range(2, count) for g in combinations(range(count), size)):
            alone = [i for i in range(count) if i not in group]
            for signs, order in product(
                product((1, -1), repeat=len(group) - 1), permutations((None, *alone))
            ):
                weights = [np.zeros(0, dtype=np.int64)] * count
                stride = 1
                for i in reversed(order):  # None stands for the group
                    for j, sign in zip(group, (1, *signs), strict=True) if i is None else ((i, 1),):
                        weights[j] = self.classes[j] * (sign * stride)
                    stride *= (sum(sizes[j] for j in group) if i is None else sizes[i]) + 1
                steps = self._along(weights)
                if steps is not None:
                    yield steps

    def _along(self, weights: Sequence[Ints]) -> Steps | None:
        """The steps along an integer sum; None where the table is no function of it."""
        total = sum(w[self.rows[:, i]] for i, w in enumerate(weights))
        points, outputs = self._ordered(np.asarray(total))
        if outputs is None or abs(int(points[0])) > LARGEST or abs(int(points[-1])) > LARGEST:
            return None
        changes = np.flatnonzero(outputs[1:] != outputs[:-1]) + 1
        return Steps(
            tuple(
                {v: int(w[j]) for j, v in enumerate(domain)}
                for domain, w in zip(self.domains, weights, strict=True)
            ),
            tuple((int(points[i - 1]), int(points[i])) for i in changes),
            tuple(self._value(outputs[i]) for i in (0, *changes)),
        )

    def _ordered(self, total: Ints) -> tuple[Ints, Ints | None]:
        """The distinct sums in order, and the output at each; None where one sum has two outputs."""
        points, at = np.unique(total, return_inverse=True)
        outputs = np.full(len(points), -1, dtype=np.int64)
        outputs[at.reshape(-1)] = self.outputs
        return points, outputs if (outputs[at.reshape(-1)] == self.outputs).all() else None

    def _over_scalar(self, order: Sequence[int]) -> Steps:
        """Digits above a number that is added as it is: its span is what the last digit counts."""
        assert self.scalar is not None
        numbers = [as_number(v) for v in self.domains[self.scalar]]
        span = numbers[-1] - numbers[0] + 1
        digits: list[Ints] = [np.zeros(0, dtype=np.int64)] * len(self.domains)
        stride = 1
        for i in reversed(order):
            digits[i] = self.classes[i] * stride
            stride *= int(self.classes[i].max()) + 1
        high = np.zeros(len(self.rows), dtype=np.int64)
        for i in order:
            high += digits[i][self.rows[:, i]]
        size = len(numbers)

        def sum_at(point: np.int64) -> Plain:
            high, last = divmod(int(point), size)
            return numbers[last] + span * high

        points, outputs = self._ordered(high * size + self.rows[:, self.scalar])
        assert outputs is not None
        changes = np.flatnonzero(outputs[1:] != outputs[:-1]) + 1
        weights: list[Mapping[Value, Plain]] = []
        for i, domain in enumerate(self.domains):
            if i == self.scalar:
                weights.append({v: as_number(v) for v in domain})
            else:
                weights.append({v: span * int(digits[i][j]) for j, v in enumerate(domain)})
        return Steps(
            tuple(weights),
            tuple((sum_at(points[i - 1]), sum_at(points[i])) for i in changes),
            tuple(self._value(outputs[i]) for i in (0, *changes)),
        )

    def _programmed(self, fewer_than: int) -> Steps | None:
        """Weights from a linear program, along which every output has one interval, in its order."""
        plain = [value for _, value in self.values]
        if any(kind_of(v) is Kind.CATEGORY for v in plain) or len(plain) - 1 >= fewer_than:
            return None
        from handcraft.compiler.passes.tables.weights_program import solve_weights

        order = sorted(range(len(plain)), key=lambda i: as_number(plain[i]))
        level = np.empty(len(order), dtype=np.int64)
        level[order] = np.arange(len(order))
        columns = [c[self.rows[:, i]] for i, c in enumerate(self.classes)]
        rows = np.unique(np.stack([*columns, level[self.outputs]], axis=1), axis=0)
        if len(rows) > PROGRAM_ROWS_UP_TO:
            return None
        for scale in solve_weights(rows[:, :-1], rows[:, -1]):
            each = zip(scale, self.classes, strict=True)
            # A class that no row has may be the last one, and then it has no weight.
            weights = [w[np.minimum(c, len(w) - 1)] for w, c in each]
            steps = self._along(weights)
            if steps is not None and len(steps) < fewer_than:
                return steps
        return None

    def _value(self, code: np.int64) -> Value:
        return self.values[int(code)][1]


def _places(column: Sequence[Value], values: Sequence[Value]) -> Ints:
    """For each entry of a column its place among the values."""
    at = {value: i for i, value in enumerate(values)}
    return np.array([at[entry] for entry in column], dtype=np.int64)


def _typed(value: Value) -> tuple[bool, Value]:
    """Tells True from 1."""
    return isinstance(value, bool), value
