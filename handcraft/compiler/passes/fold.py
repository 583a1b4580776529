"""Constant folding and common subexpressions: the same graph, smaller, every expression once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from handcraft.compiler.passes.children import with_children
from handcraft.compiler.passes.ir import Attend, StepFunction
from handcraft.language.graph.domain import FLAGS, Finite, Kind, Plain, Value, as_number, finite, whole
from handcraft.language.graph.members import Members
from handcraft.language.graph.node import (
    Aggregate,
    Assumed,
    AtLeast,
    Choice,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Node,
    walk,
)

Table = Mapping[tuple[Value, ...], Value]


def rebuild(roots: Sequence[Node]) -> list[Node]:
    """The same values from fewer nodes.

    Constant expressions become constants; equal nodes are computed once; a table of a table becomes one
    table; arguments that change nothing are left out; sums of sums become one sum. If two domains of
    the same value are known, the one that lists its values is kept.
    """
    builder = _Builder()
    done: dict[Node, Node] = {}
    for node in walk(*roots):
        done[node] = builder.node(node, done)
    made = [done[root] for root in roots]
    return rebuild(_listed(made, builder.listed)) if builder.listed else made


def _listed(roots: Sequence[Node], domains: Mapping[Node, Finite]) -> list[Node]:
    """The same trees, some nodes with domains that list their values."""
    done: dict[Node, Node] = {}
    for node in walk(*roots):
        fresh = with_children(node, done)
        done[node] = replace(fresh, domain=domains.get(node, fresh.domain))
    return [done[root] for root in roots]


class _Builder:
    """All nodes that were made, by their parts.

    Attributes:
        made: the nodes.
        listed: for a node that was made over a range, its values, found out later.
    """

    def __init__(self) -> None:
        self.made: dict[Hashable, Node] = {}
        self.listed: dict[Node, Finite] = {}

    def node(self, node: Node, done: Mapping[Node, Node]) -> Node:
        """A node over children that are done."""
        fresh = self._folded(node, done)
        key = type(fresh), fresh.domain.kind, fresh.made_of  # by kind, for True equals 1
        made = self.made.setdefault(key, fresh)
        if isinstance(fresh.domain, Finite) and not isinstance(made.domain, Finite):
            self.listed[made] = fresh.domain
        return made

    def _folded(self, node: Node, done: Mapping[Node, Node]) -> Node:
        match node:
            case Lookup():
                return self._lookup(node, [done[a] for a in node.arguments])
            case Linear():
                return self._linear(node, [(f, done[n]) for f, n in node.terms])
            case AtLeast():
                return self._at_least(node, done[node.number])
            case Choice():
                condition = done[node.condition]
                if isinstance(condition, Constant):
                    return done[node.yes if condition.value else node.no]
            case Assumed():
                if isinstance(done[node.value], Constant):
                    return done[node.value]
            case Aggregate() | Attend():
                value = None if node.value is None else done[node.value]
                always = isinstance(node, Attend) or node.sources.always
                if isinstance(value, Constant) and always:
                    return self._brought(node, value)
        return with_children(node, done)

    def _lookup(self, node: Lookup, arguments: list[Node]) -> Node:
        """Leave out constants, doubles and what changes nothing; look through tables of one thing."""
        if isinstance(node.table, Members) and not isinstance(arguments[0], Constant | Lookup):
            return node if arguments[0] is node.arguments[0] else replace(node, arguments=(*arguments,))
        table = _possible(node.table, arguments)
        if len(set(table.values())) == 1:
            return self._constant(node, next(iter(table.values())))
        if len(arguments) == 1:
            return self._of_one(node, arguments[0], table)
        kept: list[int] = []
        seen: dict[Node, int] = {}
        for i, argument in enumerate(arguments):
            if isinstance(argument, Constant) or argument in seen:
                continue
            seen[argument] = i
            kept.append(i)
        twins = [(seen[a], i) for i, a in enumerate(arguments) if seen.get(a, i) != i]
        if twins:
            table = {row: v for row, v in table.items() if all(row[i] == row[j] for i, j in twins)}
        for i in list(kept):
            rest = [k for k in kept if k != i]
            if rest and _depends_only_on(table, rest):
                kept = rest
        small = table
        if len(kept) < len(arguments):
            small = {tuple([row[i] for i in kept]): value for row, value in table.items()}
        inner = [arguments[i] for i in kept]
        if len(inner) == 1:
            return self._of_one(node, inner[0], small)
        return replace(node, arguments=tuple(inner), table=small, domain=finite(small.values()))

    def _of_one(self, node: Lookup, only: Node, table: Table) -> Node:
        """A table of one argument, or what it is a table of where nothing changes."""
        if all(row[0] == value and type(row[0]) is type(value) for row, value in table.items()):
            return only
        if isinstance(only, Lookup):
            composed = {row: table[(v,)] for row, v in only.table.items() if (v,) in table}
            again = replace(
                node, arguments=only.arguments, table=composed, domain=finite(composed.values())
            )
            return self._lookup(again, list(only.arguments))
        domain = finite(table.values())
        is_same = table is node.table and domain == node.domain
        if is_same and len(node.arguments) == 1 and node.arguments[0] is only:
            return node
        return replace(node, arguments=(only,), table=table, domain=domain)

    def _linear(self, node: Linear, terms: list[tuple[Plain, Node]]) -> Node:
        """One sum of different terms."""
        total: dict[Node, Plain] = {}
        nodes: dict[Node, Node] = {}
        constant = node.constant
        while terms:
            factor, term = terms.pop(0)
            if isinstance(term, Constant):
                constant += factor * as_number(term.value)
            elif isinstance(term, Linear):
                constant += factor * term.constant
                terms += [(factor * f, n) for f, n in term.terms]
            else:
                nodes[term] = term
                total[term] = total.get(term, 0) + factor
        left = tuple((factor, nodes[key]) for key, factor in total.items() if factor)
        if not left:
            return self._constant(node, whole(constant))
        of_one = self._of_one_source(node, left, constant)
        if of_one is not None:
            return of_one
        is_number = left[0][1].domain.kind is Kind.NUMBER
        if len(left) == 1 and left[0][0] == 1 and constant == 0 and is_number:
            return left[0][1]
        return replace(node, terms=left, constant=constant)

    def _of_one_source(
        self, node: Linear, terms: Sequence[tuple[Plain, Node]], constant: Plain
    ) -> Node | None:
        """A sum over functions of one stored value, such as the position, is one such function."""
        sources = {_source(term): None for _, term in terms}
        source = next(iter(sources))
        if len(sources) != 1 or source is None:
            return None
        assert isinstance(source.domain, Finite)
        table: dict[tuple[Value, ...], Value] = {}
        for value in source.domain.values:
            total = constant
            for factor, term in terms:
                at = term.table[(value,)] if isinstance(term, Lookup) else value
                total += factor * as_number(at)
            table[(value,)] = whole(total)
        lookup = Lookup(finite(table.values()), node.text, (source,), table, place=node.place)
        return self._lookup(lookup, [source])

    def _at_least(self, node: AtLeast, number: Node) -> Node:
        if isinstance(number.domain, Finite):
            table: dict[tuple[Value, ...], Value] = {
                (v,): as_number(v) >= node.bound for v in number.domain.values
            }
            return self._lookup(
                Lookup(FLAGS, node.text, (number,), table, place=node.place),
                [number],
            )
        return replace(node, number=number)

    def _brought(self, node: Aggregate | Attend, value: Constant) -> Constant:
        """The same value from wherever it comes; the mean of a flag is a number."""
        if node.domain.kind is Kind.NUMBER:
            return self._constant(node, as_number(value.value))
        return value

    def _constant(self, node: Node, value: Value) -> Constant:
        return Constant(finite([value]), node.text, value, place=node.place)


def _source(node: Node) -> Embedded | StepFunction | None:
    """The token, position or step function of which a node is a function, known for all its values."""
    if isinstance(node, Embedded | StepFunction):
        return node
    if isinstance(node, Lookup) and len(node.arguments) == 1:
        (source,) = node.arguments
        if isinstance(source, Embedded | StepFunction) and isinstance(source.domain, Finite):
            known = all((value,) in node.table for value in source.domain.values)
            return source if known else None
    return None


def _possible(table: Table, arguments: Sequence[Node]) -> Table:
    """The rows that agree with arguments that are constant."""
    fixed = [(i, a.value) for i, a in enumerate(arguments) if isinstance(a, Constant)]
    if not fixed:
        return table
    return {row: value for row, value in table.items() if all(row[i] == v for i, v in fixed)}


def _depends_only_on(table: Mapping[tuple[Value, ...], Value], columns: Sequence[int]) -> bool:
    found: dict[tuple[Value, ...], Value] = {}
    return all(
        found.setdefault(tuple(row[i] for i in columns), value) == value for row, value in table.items()
    )
