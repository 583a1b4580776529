"""The nodes of a meaning, read strictly: what is not exactly of this form is an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, TypeAlias

from handcraft_check.errors import CheckError

Value: TypeAlias = bool | int | Fraction | str
"""A flag, an exact number or a label, such as a token. A node has values of one kind."""

FLAG, NUMBER, LABEL = "flag", "number", "label"

NODES_UP_TO = 200_000
ROWS_UP_TO = 2_000_000
"""The most rows of tables, pairs of relations and assumed values, all together."""

BITS_UP_TO = 4_096
"""The most bits of a number, read or computed."""

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Match:
    """A condition on a source and a destination.

    Args:
        key: the node read at the source.
        query: the node read at the destination.
        relation: one of `COMPARISONS`, key first; or the pairs (key, query) for which it is true.
    """

    key: int
    query: int
    relation: str | frozenset[tuple[Value, Value]]


@dataclass(frozen=True)
class Node:
    """A value at every position.

    Args:
        op: what it is; the fields that an op does not have are empty.
        kind: of its values.
        of: the nodes that it reads at the same position.
        value: of a constant.
        rows: of a table.
        rest: of a table, the value for what has no row; None where such a text is not allowed.
        factors: of a sum.
        number: the constant of a sum, or the bound of ``at_least``.
        allowed: of an assumption: its values, or lowest, highest, unit and largest denominator.
        how: of an aggregate.
        cases: of an aggregate: a source is selected where all matches of a case are true.
        read: of an aggregate, the node that is read at the sources; None for none.
        default: of an aggregate, the value where nothing is selected; None where that is not allowed.
    """

    op: str
    kind: str
    of: tuple[int, ...] = ()
    value: Value | None = None
    rows: Mapping[tuple[Value, ...], Value] | None = None
    rest: Value | None = None
    factors: tuple[int | Fraction, ...] = ()
    number: int | Fraction = 0
    allowed: frozenset[Value] | tuple[int | Fraction, ...] = frozenset()
    how: str = ""
    cases: tuple[tuple[Match, ...], ...] = ()
    read: int | None = None
    default: Value | None = None

    @property
    def elsewhere(self) -> set[int]:
        """The nodes that it reads at other positions."""
        keys = {match.key for case in self.cases for match in case}
        return keys if self.read is None else keys | {self.read}

    @property
    def here(self) -> set[int]:
        """The nodes that it reads at its own position."""
        return {match.query for case in self.cases for match in case} | set(self.of)


FIELDS: Mapping[str, tuple[str, ...]] = {
    "token": (),
    "position": (),
    "constant": ("value",),
    "table": ("of", "rows", "?else"),
    "sum": ("of", "factors", "constant"),
    "at_least": ("of", "bound"),
    "choice": ("if", "then", "else"),
    "assumed": ("of", "values"),
    "aggregate": ("how", "cases", "value", "default"),
}
"""The fields of each op besides ``op``; ``?`` marks one that may be left out."""


def fields(data: object, names: Sequence[str], where: str) -> dict[str, Any]:
    """The fields of a JSON object: those that are named, and no others; ``?`` marks optional ones."""
    if not isinstance(data, dict):
        raise CheckError("not a JSON object", where)
    known = {name.removeprefix("?") for name in names}
    wrong = sorted(data.keys() - known) or [n for n in names if n[0] != "?" and n not in data]
    if wrong:
        state = "unknown" if wrong[0] in data else "missing"
        raise CheckError(f"the field {wrong[0]!r} is {state}", where)
    return data


def items(data: object, where: str, *, most: int, length: int | None = None) -> list[Any]:
    """A JSON array, of one length if that is given."""
    if not isinstance(data, list):
        raise CheckError("not a JSON array", where)
    if length is not None and len(data) != length:
        raise CheckError(f"{len(data)} entries, not {length}", where)
    if len(data) > most:
        raise CheckError(f"{len(data):,} entries, and {most:,} are checked at most", where)
    return data


def read_value(data: object, where: str) -> Value:
    """A flag, a number or a label; a fraction is written as {"over": [numerator, denominator]}."""
    if isinstance(data, bool | str):
        return data
    if isinstance(data, dict):
        over = items(fields(data, ("over",), where)["over"], where, most=2, length=2)
        if not all(type(part) is int for part in over) or over[1] < 1:
            raise CheckError("a fraction is not made of two whole numbers, the second above 0", where)
        data = plain(Fraction(over[0], over[1]))
    if isinstance(data, int | Fraction):
        check_size(data, where)
        return data
    raise CheckError("neither a flag, nor a label, nor an exact number", where)


def read_number(data: object, where: str) -> int | Fraction:
    """An exact number, which is not a flag."""
    value = read_value(data, where)
    if kind_of(value) != NUMBER or isinstance(value, str):
        raise CheckError(f"{value!r} is not a number", where)
    return value


def check_size(number: int | Fraction, where: str) -> None:
    """Raise if a number has too many bits."""
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > BITS_UP_TO:
        raise CheckError(f"a number of more than {BITS_UP_TO:,} bits", where)


def common_denominator(numbers: Iterable[int | Fraction]) -> int:
    """The least whole number that is a multiple of all denominators.

    Raises:
        CheckError: it has too many bits.
    """
    found = 1
    for number in numbers:
        found = lcm(found, number.denominator)
        check_size(found, "a common denominator")
    return found


def kind_of(value: Value) -> str:
    """The kind of one value."""
    return FLAG if isinstance(value, bool) else LABEL if isinstance(value, str) else NUMBER


def plain(number: int | Fraction) -> int | Fraction:
    """A fraction that is whole as an integer."""
    return number.numerator if number.denominator == 1 else number


class Reader:
    """Reads nodes one after the other; each may read only those before it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._rows = 0

    def read(self, data: object, where: str) -> None:
        """Read the next node."""
        op = data.get("op") if isinstance(data, dict) else None
        if not isinstance(op, str) or op not in FIELDS:
            raise CheckError(f"there is no op {op!r}", where, f"it is one of: {', '.join(FIELDS)}")
        given = fields(data, ("op", *FIELDS[op]), where)
        self.nodes.append(getattr(self, f"_{op}")(given, where))

    def index(self, data: object, where: str, *kinds: str) -> int:
        """The number of a node that was read before, of one of some kinds."""
        if type(data) is not int or not 0 <= data < len(self.nodes):
            raise CheckError(f"{data!r} is not the number of an earlier node", where)
        if kinds and self.nodes[data].kind not in kinds:
            raise CheckError(f"node {data} is a {self.nodes[data].kind}, not a {kinds[0]}", where)
        return data

    def _indices(self, data: object, where: str, *kinds: str) -> tuple[int, ...]:
        listed = items(data, where, most=NODES_UP_TO)
        return tuple(self.index(each, f"{where}[{i}]", *kinds) for i, each in enumerate(listed))

    def _listed(self, data: object, where: str) -> list[Any]:
        """An array that counts towards the limit of rows."""
        listed = items(data, where, most=ROWS_UP_TO - self._rows)
        self._rows += len(listed)
        return listed

    def _of_kind(self, data: object, kind: str, where: str) -> Value:
        value = read_value(data, where)
        if kind_of(value) != kind:
            raise CheckError(f"{value!r} is a {kind_of(value)}, not a {kind}", where)
        return value

    def _token(self, given: dict[str, Any], where: str) -> Node:
        return Node("token", LABEL)

    def _position(self, given: dict[str, Any], where: str) -> Node:
        return Node("position", NUMBER)

    def _constant(self, given: dict[str, Any], where: str) -> Node:
        value = read_value(given["value"], f"{where}.value")
        return Node("constant", kind_of(value), value=value)

    def _table(self, given: dict[str, Any], where: str) -> Node:
        of = self._indices(given["of"], f"{where}.of")
        kinds = [self.nodes[each].kind for each in of]
        listed = self._listed(given["rows"], f"{where}.rows")
        rest = read_value(given["else"], f"{where}.else") if "else" in given else None
        kind = None if rest is None else kind_of(rest)
        rows: dict[tuple[Value, ...], Value] = {}
        for number, row in enumerate(listed):
            here = f"{where}.rows[{number}]"
            *key, value = items(row, here, most=len(of) + 1, length=len(of) + 1)
            read = read_value(value, here)
            kind = kind or kind_of(read)
            arguments = tuple(self._of_kind(k, t, here) for k, t in zip(key, kinds, strict=True))
            if arguments in rows:
                raise CheckError("a row for what has one already", here)
            rows[arguments] = self._of_kind(value, kind, here)
        if kind is None or not of:
            raise CheckError("a table of nothing", where)
        return Node("table", kind, of, rows=rows, rest=rest)

    def _sum(self, given: dict[str, Any], where: str) -> Node:
        of = self._indices(given["of"], f"{where}.of", NUMBER, FLAG)
        listed = items(given["factors"], f"{where}.factors", most=len(of), length=len(of))
        factors = tuple(read_number(each, f"{where}.factors") for each in listed)
        constant = read_number(given["constant"], f"{where}.constant")
        return Node("sum", NUMBER, of, factors=factors, number=constant)

    def _at_least(self, given: dict[str, Any], where: str) -> Node:
        of = self.index(given["of"], f"{where}.of", NUMBER, FLAG)
        return Node("at_least", FLAG, (of,), number=read_number(given["bound"], f"{where}.bound"))

    def _choice(self, given: dict[str, Any], where: str) -> Node:
        flag = self.index(given["if"], f"{where}.if", FLAG)
        yes = self.index(given["then"], f"{where}.then")
        kind = self.nodes[yes].kind
        return Node("choice", kind, (flag, yes, self.index(given["else"], f"{where}.else", kind)))

    def _assumed(self, given: dict[str, Any], where: str) -> Node:
        of = self.index(given["of"], f"{where}.of")
        kind, allowed, place = self.nodes[of].kind, given["values"], f"{where}.values"
        if isinstance(allowed, list):
            values = self._listed(allowed, place)
            return Node(
                "assumed", kind, (of,), allowed=frozenset(self._of_kind(v, kind, place) for v in values)
            )
        names = ("low", "high", "unit", "parts")
        bounds = tuple(read_number(fields(allowed, names, place)[n], f"{place}.{n}") for n in names)
        if kind != NUMBER or bounds[2] <= 0 or bounds[3] < 1:
            raise CheckError("not a range of numbers with a unit above 0 and parts of 1 or more", place)
        return Node("assumed", kind, (of,), allowed=bounds)

    def _aggregate(self, given: dict[str, Any], where: str) -> Node:
        how, read, default = given["how"], given["value"], given["default"]
        if how not in ("mean", "latest", "earliest", "count", "exists"):
            raise CheckError(f"there is no aggregate {how!r}", where)
        kind = FLAG if how == "exists" else NUMBER
        if how in ("count", "exists"):
            if read is not None or default is not None:
                raise CheckError(f"{how!r} has neither a value nor a default", where)
        else:
            read = self.index(read, f"{where}.value", *((NUMBER, FLAG) if how == "mean" else ()))
            kind = kind if how == "mean" else self.nodes[read].kind
            default = None if default is None else self._of_kind(default, kind, f"{where}.default")
        cases = tuple(
            tuple(
                self._match(match, f"{where}.cases[{i}][{j}]")
                for j, match in enumerate(self._listed(case, f"{where}.cases[{i}]"))
            )
            for i, case in enumerate(self._listed(given["cases"], f"{where}.cases"))
        )
        return Node("aggregate", kind, how=how, cases=cases, read=read, default=default)

    def _match(self, data: object, where: str) -> Match:
        given = fields(data, ("key", "query", "relation"), where)
        key = self.index(given["key"], f"{where}.key")
        query = self.index(given["query"], f"{where}.query")
        kinds, relation = (self.nodes[key].kind, self.nodes[query].kind), given["relation"]
        if isinstance(relation, str):
            allowed = COMPARISONS if kinds == (NUMBER, NUMBER) else COMPARISONS[:2]
            if relation not in allowed or kinds[0] != kinds[1]:
                raise CheckError(f"a {kinds[0]} and a {kinds[1]} cannot be compared by it", where)
            return Match(key, query, relation)
        place = f"{where}.relation"
        pairs = self._listed(fields(relation, ("pairs",), place)["pairs"], place)
        return Match(
            key,
            query,
            frozenset(
                (self._of_kind(k, kinds[0], place), self._of_kind(q, kinds[1], place))
                for k, q in (items(pair, place, most=2, length=2) for pair in pairs)
            ),
        )
