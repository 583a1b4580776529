"""The meaning of a program as JSON: its nodes in the order of computation, and its rules."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, TypeAlias

from handcraft.language.graph.domain import Domain, Finite, Kind, Plain, Value, as_number, whole
from handcraft.language.graph.members import Members
from handcraft.language.graph.node import (
    Aggregate,
    Assumed,
    AtLeast,
    Choice,
    Comparison,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Match,
    Node,
    walk,
)
from handcraft.language.meaning import Meaning, MeantRule

Statement: TypeAlias = dict[str, Any]

NODES_UP_TO = 200_000

ROWS_UP_TO = 1_000_000
"""The most rows of tables and pairs of relations, all together."""

WITHIN = Fraction(1, 10_000)
"""How far probabilities may be from those of the program, in total variation: as `handcraft verify`
allows (`test_the_stated_distance_is_that_of_verify`)."""

NAME_UP_TO = 100
"""Longer names of nodes are left out."""


class NotCertified(Exception):
    """Why there is no certificate of a program."""


def write_meaning(meaning: Meaning) -> Statement:
    """The nodes of rules, the rules over them, and names for people.

    Raises:
        NotCertified: it is too large.
    """
    order = meaning.order
    if len(order) > NODES_UP_TO:
        raise NotCertified(f"the program is a graph of {len(order):,} nodes")
    writing = _Writing(meaning.tokens, order)
    answer: Statement = {"rules": [writing.rule(rule) for rule in meaning.rules]}
    if any("probabilities" in rule for rule in answer["rules"]):
        answer["within"] = _number(WITHIN)
    return {
        "nodes": [writing.node(node) for node in order],
        "answer": answer,
        "names": _names(order),
    }


def write_domains(meaning: Meaning) -> list[Any]:
    """The values that each node of `write_meaning` can have, as an assumption states them.

    Raises:
        NotCertified: they are too many.
    """
    order = meaning.order
    writing = _Writing(meaning.tokens, order)
    for node in order:  # labels that are no texts get their names in this order
        writing.node(node)
    return [writing.domain(node) for node in order]


@dataclass(frozen=True)
class Stated:
    """An output of a model of values, as it is stated: a number in the residual stream, and its value.

    Args:
        name: of the output.
        node: the expression.
        place: the number that stands for each value of a node that has no numbers; None for a number.
        reads: dimensions of the last residual stream, each with a factor.
        constant: what is added to the sum of these.
        within: how far that may be from the number that stands for the value.
    """

    name: str
    node: Node
    places: Mapping[Value, int] | None
    reads: tuple[tuple[int, Fraction], ...]
    constant: Fraction
    within: Fraction


def write_values(tokens: Sequence[str], outputs: Sequence[Stated]) -> Statement:
    """The nodes of expressions, what is read of a model for each, and names for people.

    Args:
        tokens: the vocabulary.
        outputs: the expressions.

    Raises:
        NotCertified: they are too large.
    """
    order = list(walk(*(output.node for output in outputs)))
    if len(order) > NODES_UP_TO:
        raise NotCertified(f"the expressions are a graph of {len(order):,} nodes")
    writing = _Writing(tokens, order)
    nodes = [writing.node(node) for node in order]
    values = []
    for output in outputs:
        number = writing.numbers[output.node]
        if output.places is not None:
            nodes.append(writing.places(number, output.node, output.places))
            number = len(nodes) - 1
        values.append(
            {
                "name": output.name,
                "node": number,
                "reads": [[dimension, _number(factor)] for dimension, factor in output.reads],
                "constant": _number(output.constant),
                "within": _number(output.within),
            }
        )
    return {"nodes": nodes, "answer": {"values": values}, "names": _names(order)}


def _names(order: Sequence[Node]) -> dict[str, str]:
    return {
        str(number): str(node)
        for number, node in enumerate(order)
        if not isinstance(node, Embedded | Constant) and len(str(node)) <= NAME_UP_TO
    }


class _Writing:
    """Writes nodes as JSON, with numbers for nodes and texts for labels."""

    def __init__(self, tokens: Sequence[str], order: Sequence[Node]) -> None:
        self.numbers = {node: number for number, node in enumerate(order)}
        self._rows = 0
        self._places: dict[Finite, dict[Value, int]] = {}
        self._names: dict[Value, str] = {}  # of labels; a text is its own name
        self._taken: set[str] = set()
        labels = (node.domain for node in order if node.domain.kind is Kind.CATEGORY)
        known = [value for domain in labels if isinstance(domain, Finite) for value in domain.values]
        for label in (*tokens, *(value for value in known if isinstance(value, str))):
            self._names[label] = str(label)
            self._taken.add(str(label))

    def rule(self, rule: MeantRule) -> Statement:
        """A rule: the flag that says where it fires, and what it predicts."""
        flag = None if rule.condition is None else self.numbers[rule.condition]
        if isinstance(rule.answer, Node):
            return {"if": flag, "token": self.numbers[rule.answer]}
        shares = {token: _number(share) for token, share in rule.answer.items()}
        return {"if": flag, "probabilities": shares}

    def node(self, node: Node) -> Statement:
        """One node; those that it reads have numbers.

        Raises:
            NotCertified: there are too many rows by now.
        """
        match node:
            case Embedded():
                return {"op": node.of}
            case Constant():
                return {"op": "constant", "value": self._value(node.value, node.domain.kind)}
            case Lookup():
                return self._table(node)
            case Linear():
                factors = [_number(factor) for factor, _ in node.terms]
                of = [self.numbers[child] for _, child in node.terms]
                return {"op": "sum", "of": of, "factors": factors, "constant": _number(node.constant)}
            case AtLeast():
                return {"op": "at_least", "of": self.numbers[node.number], "bound": _number(node.bound)}
            case Choice():
                flag, yes, no = (self.numbers[each] for each in (node.condition, node.yes, node.no))
                return {"op": "choice", "if": flag, "then": yes, "else": no}
            case Assumed():
                return {"op": "assumed", "of": self.numbers[node.value], "values": self.domain(node)}
            case Aggregate():
                return self._aggregate(node)
        raise NotCertified(f"`{node}` is no node of a program")

    def places(self, number: int, node: Node, places: Mapping[Value, int]) -> Statement:
        """A table of the number that stands for each value of a node."""
        self._count(len(places))
        kind = node.domain.kind
        rows = [[self._value(value, kind), place] for value, place in places.items()]
        return {"op": "table", "of": [number], "rows": rows}

    def _table(self, node: Lookup) -> Statement:
        written: Statement = {"op": "table", "of": [self.numbers[child] for child in node.arguments]}
        kinds, kind = [child.domain.kind for child in node.arguments], node.domain.kind
        if isinstance(node.table, Members):
            value, rows = self._members(node.table)
            return {**written, "else": value, "rows": rows}
        table = node.table
        if len(table) == _combinations(node.arguments):  # one value can stand for all rows that have it
            often = Counter(table.values())
            common = max(often, key=lambda value: (often[value], value is False))
            written["else"] = self._value(common, kind)
            table = {key: value for key, value in table.items() if value != common}
        self._count(len(table))
        written["rows"] = [
            [*map(self._value, key, kinds), self._value(value, kind)] for key, value in table.items()
        ]
        return written

    def _members(self, table: Members) -> tuple[bool, list[Any]]:
        """The more frequent value of a set of labels, and the rows of the other; no more than those."""
        if table.domain not in self._places:
            self._places[table.domain] = {v: place for place, v in enumerate(table.domain.values)}
        places, inside = self._places[table.domain], table.inside
        is_rare = 2 * len(inside) <= len(places)
        listed = inside if is_rare else places.keys() - inside
        self._count(len(listed))
        kind = table.domain.kind
        rows = [[self._value(v, kind), is_rare] for v in sorted(listed, key=places.__getitem__)]
        return not is_rare, rows

    def _aggregate(self, node: Aggregate) -> Statement:
        value, default = node.value, None
        if value is not None and not node.sources.always:
            default = self._value(node.default, node.domain.kind)
        return {
            "op": "aggregate",
            "how": node.how,
            "cases": [[self._match(match) for match in case] for case in node.sources.cases],
            "value": None if value is None else self.numbers[value],
            "default": default,
        }

    def _match(self, match: Match) -> Statement:
        written: Statement = {"key": self.numbers[match.key], "query": self.numbers[match.query]}
        if isinstance(match.relation, Comparison):
            return {**written, "relation": match.relation.value}
        self._count(len(match.relation))
        kinds = match.key.domain.kind, match.query.domain.kind
        pairs = [[*map(self._value, pair, kinds)] for pair in match.relation]
        return {**written, "relation": {"pairs": sorted(pairs, key=json.dumps)}}

    def domain(self, node: Node) -> Any:
        """The values that a node can have: all of them, or the bounds of a range.

        Raises:
            NotCertified: there are too many by now.
        """
        domain: Domain = node.domain
        if isinstance(domain, Finite):
            self._count(len(domain.values))
            return [self._value(value, domain.kind) for value in domain.values]
        bounds = {"low": domain.low, "high": domain.high, "unit": domain.unit, "parts": domain.parts}
        return {name: _number(bound) for name, bound in bounds.items()}

    def _value(self, value: Value, kind: Kind) -> Any:
        """A value; of the labels that are no texts, each gets a text that no other has."""
        if kind is Kind.FLAG:
            return bool(value)
        if kind is Kind.NUMBER:
            return _number(as_number(value))
        if value not in self._names:
            name = str(value) if isinstance(value, str) else repr(value)
            while name in self._taken:
                name += "'"
            self._names[value] = name
            self._taken.add(name)
        return self._names[value]

    def _count(self, rows: int) -> None:
        self._rows += rows
        if self._rows > ROWS_UP_TO:
            raise NotCertified(f"the tables of the program have more than {ROWS_UP_TO:,} rows")


def _combinations(nodes: Iterable[Node]) -> int:
    """How many combinations of values some nodes have; 0 where they cannot be listed."""
    domains = [node.domain for node in nodes]
    return prod(len(each.values) if isinstance(each, Finite) else 0 for each in domains)


def _number(number: Plain) -> Any:
    plain = whole(Fraction(number))
    return plain if isinstance(plain, int) else {"over": [plain.numerator, plain.denominator]}
