"""Selections to heads and ladders: means, single sources, existence, counts.

Softmax always sums to 1, so a head can say *which* sources fit, not *how many* nor *whether any*. Both are
told from what it brings:

- *exists*: the head brings the key of one of the best sources too, and a table says whether it fits.
- *count*: position 0 carries a mark. Where it is selected, its share is 1/c. Where it is not, a second
  head forgives it: then its share is 1/(c + 1). Each is a ladder over one number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np

from handcraft.compiler.sequences.cases import (
    STRICT,
    Setting,
    allowed,
    asks_nothing,
    holds_of_itself,
    is_positional,
    pairs_match,
    simplified,
    split,
)
from handcraft.compiler.sequences.ir import Attend, Ladder, Picks, Rung, between
from handcraft.compiler.sequences.proofs import finds_one
from handcraft.compiler.sequences.rebuild import case_key, rebuild
from handcraft.errors import CompileError
from handcraft.language.sequences.domain import (
    FLAGS,
    Finite,
    Plain,
    Range,
    Value,
    finite,
)
from handcraft.language.sequences.look import mean_domain
from handcraft.language.sequences.node import (
    Aggregate,
    Case,
    Choice,
    Comparison,
    Constant,
    Linear,
    Lookup,
    Match,
    Node,
    walk,
)
from handcraft.language.sequences.pointwise import linear

TOGETHER_UP_TO = 64
"""Up to so many positions the shares of position 0 are added up and read by one ladder."""

PAIRS_UP_TO = 4096
"""The most joint values of the keys of a selection that several cases select."""


def lower_aggregates(roots: Sequence[Node], setting: Setting) -> list[Node]:
    """The same values with `Attend` and `Ladder` in place of every `Aggregate`."""
    lowering = _Lowering(setting)
    done: dict[int, Node] = {}
    for node in walk(*roots):
        done[id(node)] = lowering.node(node, done)
    return rebuild([done[id(root)] for root in roots])


class _Lowering:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def node(self, node: Node, done: Mapping[int, Node]) -> Node:
        fresh = _with_children(node, done)
        if isinstance(fresh, Linear):
            return self.merged(fresh)
        if not isinstance(fresh, Aggregate):
            return fresh
        cases = [simplified(case, self.setting) for case in fresh.sources.cases]
        found = [case for case in cases if case is not None]
        if fresh.how == "count":
            return self.count(fresh, found)
        if not found:
            return _constant(fresh, False if fresh.how == "exists" else fresh.default)
        if fresh.how == "exists":
            if isinstance(node, Aggregate) and finds_one(node.sources, self.setting):
                return _constant(fresh, True)
            return self.exists(fresh, _joined(found, fresh))
        assert fresh.value is not None
        case = _joined(found, fresh)
        assert isinstance(node, Aggregate)
        alone = finds_one(node.sources, self.setting)
        raw = replace(self.attend(fresh, case, fresh.value, fresh.how), unique=alone)
        if fresh.default is None or alone:
            return raw
        there = self.exists(fresh, case)
        fallback = Constant(finite([fresh.default]), str(fresh.default), fresh.default)
        if isinstance(raw.domain, Finite) and isinstance(fresh.domain, Finite):
            table = {
                (flag, value): value if flag else fresh.default
                for flag, value in product((False, True), raw.domain.values)
            }
            return Lookup(fresh.domain, fresh.text, (there, raw), table, place=fresh.place)
        return Choice(fresh.domain, fresh.text, there, raw, fallback, place=fresh.place)

    def merged(self, node: Linear) -> Node:
        """Means over the same sources become one mean of a sum."""
        groups: dict[object, list[tuple[Plain, Attend]]] = {}
        rest: list[tuple[Plain, Node]] = []
        for factor, term in node.terms:
            if isinstance(term, Attend) and term.picks == "mean":
                groups.setdefault((case_key(term.case), term.forgiven), []).append((factor, term))
            else:
                rest.append((factor, term))
        if all(len(group) == 1 for group in groups.values()):
            return node
        for group in groups.values():
            first = group[0][1]
            text = " + ".join(str(term.value) for _, term in group)
            inner = linear([(factor, term.value) for factor, term in group], 0, text, 5)
            domain = mean_domain(inner, self.setting.context)
            rest.append((1, replace(first, domain=domain, value=inner, text=node.text)))
        domain = rest[0][1].domain if len(rest) == 1 and not node.constant else node.domain
        return replace(node, terms=tuple(rest), domain=domain)

    def attend(self, of: Aggregate, case: Case, value: Node, picks: Picks) -> Attend:
        domain = value.domain
        if picks == "mean":
            domain = of.domain if value is of.value else domain
            if value is of.value and of.default is not None and isinstance(domain, Finite):
                domain = finite(domain.values)
        return Attend(domain, of.text, case, value, picks, place=of.place)

    def mean(self, of: Aggregate, case: Case, value: Node, forgiven: int = 0) -> Attend:
        """The share of sources at which a flag holds: a fraction whose denominator is a count."""
        domain = Range(0, 1, Fraction(1), self.setting.context)
        return Attend(domain, f"share of {value}", case, value, "mean", forgiven, place=of.place)

    def exists(self, of: Aggregate, case: Case) -> Node:
        """A flag: whether any source fits."""
        placed = tuple(m for m in case if is_positional(m))
        others = tuple(m for m in case if not is_positional(m))
        flags = allowed(placed, self.setting)
        surely = np.tril(flags).any(axis=1)
        maybe = (flags & self.setting.visible).any(axis=1)
        n = self.setting.context
        if not others and (surely == maybe).all():
            table: dict[tuple[Value, ...], Value] = {(i,): bool(surely[i]) for i in range(n)}
            return self._lookup(
                FLAGS, f"{of.sources.text}.exists()", (self.setting.position,), table, of
            )
        if surely.all() and all(map(asks_nothing, others)):
            share = self.mean(of, placed, self._fits(others, of))
            at_least, gap = between(0, Fraction(1, n))
            rung = Rung(((1, share),), at_least, gap)
            return Ladder(FLAGS, of.text, (rung,), (False, True), place=of.place)
        parts = [self._met(of, case, match) for match in case]
        if len(parts) == 1:
            return parts[0]
        rows = {row: all(row) for row in product((False, True), repeat=len(parts))}
        return Lookup(FLAGS, f"{of.sources.text}.exists()", tuple(parts), rows, place=of.place)

    def _met(self, of: Aggregate, case: Case, match: Match) -> Node:
        """Whether the source that is picked meets one of the conditions."""
        picks: Picks = of.how if of.how in ("latest", "earliest") else "latest"  # type: ignore[assignment]
        key = Attend(match.key.domain, f"key of {of.text}", case, match.key, picks, place=of.place)
        assert isinstance(match.key.domain, Finite)
        assert isinstance(match.query.domain, Finite)
        table = {
            (k, q): match.holds(k, q)
            for k, q in product(match.key.domain.values, match.query.domain.values)
        }
        return Lookup(FLAGS, f"{of.text} exists", (key, match.query), table, place=of.place)

    def _fits(self, matches: Sequence[Match], of: Aggregate) -> Node:
        """A flag of the source: whether it meets conditions that ask the same everywhere."""
        flags: list[Node] = []
        for match in matches:
            assert isinstance(match.key.domain, Finite)
            assert isinstance(match.query, Constant)
            query = match.query.value
            table = {(k,): match.holds(k, query) for k in match.key.domain.values}
            flags.append(Lookup(FLAGS, f"{match.key} fits", (match.key,), table, place=of.place))
        if len(flags) == 1:
            return flags[0]
        rows = {row: all(row) for row in product((False, True), repeat=len(flags))}
        return Lookup(FLAGS, "all fit", tuple(flags), rows, place=of.place)

    def count(self, of: Aggregate, cases: Sequence[Case]) -> Node:
        """How many sources fit: the sum over disjoint cases."""
        terms: list[tuple[Plain, Node]] = []
        for case in cases:
            terms += self._count(of, case)
        if len(terms) == 1 and isinstance(terms[0][1], Ladder) and terms[0][0] == 1:
            return terms[0][1]
        return Linear(of.domain, of.text, tuple(terms), 0, place=of.place)

    def _count(self, of: Aggregate, case: Case) -> list[tuple[Plain, Node]]:
        for i, match in enumerate(case):
            rest = (*case[:i], *case[i + 1 :])
            parts = split(match)
            if parts is not None:
                joined = [simplified((*rest, *part), self.setting) for part in parts]
                return [term for part in joined if part is not None for term in self._count(of, part)]
            if match.key is match.query and match.relation in STRICT and not is_positional(match):
                assert isinstance(match.relation, Comparison)
                _, opposite = STRICT[match.relation]
                turned = simplified((*rest, replace(match, relation=opposite)), self.setting)
                if turned is not None and holds_of_itself(turned):
                    less = [(-factor, node) for factor, node in self._count(of, turned)]
                    return [*self._count(of, rest), *less]
        placed = tuple(m for m in case if is_positional(m))
        others = tuple(m for m in case if not is_positional(m))
        flags = allowed(placed, self.setting)
        if not others:
            return self._count_positions(of, placed, flags)
        if not placed and all(map(asks_nothing, others)):
            return [(1, self._count_share(of, others))]
        strict = [m for m in placed if m.key is m.query and m.relation in STRICT]
        if strict and len(placed) == 1 and holds_of_itself(others) and _is_injective(strict[0].key):
            assert isinstance(strict[0].relation, Comparison)
            wider, _ = STRICT[strict[0].relation]
            full = simplified((*others, replace(strict[0], relation=wider)), self.setting)
            assert full is not None
            return [*self._count(of, full), (-1, _number(1))]
        return self._count_marked(of, placed, others, flags)

    def _count_positions(
        self, of: Aggregate, placed: Case, flags: np.ndarray
    ) -> list[tuple[Plain, Node]]:
        """Where positions decide alone: a table of the position, or the share of position 0."""
        n = self.setting.context
        seen = flags & self.setting.visible
        if not np.triu(seen, 1).any():
            table: dict[tuple[Value, ...], Value] = {(i,): int(seen[i].sum()) for i in range(n)}
            domain = finite(table.values())
            return [(1, self._lookup(domain, of.text, (self.setting.position,), table, of))]
        return self._count_marked(of, placed, (), flags)

    def _count_share(self, of: Aggregate, others: Case) -> Node:
        """Count c of n visible sources: c >= t where share - (t - 1/2) / n is not negative."""
        n = self.setting.context
        share = self.mean(of, (), self._fits(others, of))
        one = self.mean(of, (), self._first())
        half = Fraction(1, 2 * n)
        at_least, gap = between(-half, half)
        rungs = tuple(
            Rung(((1, share), (Fraction(1, 2) - t, one)), at_least, gap) for t in range(1, n + 1)
        )
        return Ladder(finite(range(n + 1)), of.text, rungs, tuple(range(n + 1)), place=of.place)

    def _count_marked(
        self, of: Aggregate, placed: Case, others: Case, flags: np.ndarray
    ) -> list[tuple[Plain, Node]]:
        """Count by the share of position 0, forgiving it as many failures as it may have.

        Positional conditions are made to hold of position 0, and what that counts too much is taken off.
        """
        n = self.setting.context
        whole = (*others, *placed)
        case: Case = others
        if placed:
            wider = flags.copy()
            wider[:, 0] = True
            seen = self.setting.visible
            if not (wider | ~seen).all():
                case = (
                    *others,
                    placed[0] if (wider == flags).all() else pairs_match(wider, self.setting),
                )
        sure = holds_of_itself(whole) or (not others and np.tril(flags).any(axis=1).all())
        gate: tuple[tuple[Plain, Node], ...] = () if sure else ((2, self.exists(of, whole)),)
        raised = 0 if sure else 2
        shares = [self.mean(of, case, self._first(), forgiven) for forgiven in range(len(others) + 1)]
        ladders = self._ladders(of, shares, gate, raised)
        terms: list[tuple[Plain, Node]] = [(1, ladder) for ladder in ladders]
        outside = [not flags[i, 0] for i in range(n)]
        if any(outside):
            table: dict[tuple[Value, ...], Value] = {(i,): outside[i] for i in range(n)}
            beyond = self._lookup(FLAGS, "position 0 is no source", (self.setting.position,), table, of)
            at_least, gap = between(1, 1 + Fraction(1, n))
            rung = Rung(((1, shares[0]), (1, beyond), *gate), at_least + raised, gap)
            extra = Ladder(finite([0, 1]), of.text, (rung,), (0, 1), place=of.place)
            terms.append((-1, extra))
        return terms

    def _ladders(
        self, of: Aggregate, shares: Sequence[Node], gate: tuple[tuple[Plain, Node], ...], raised: int
    ) -> list[Ladder]:
        """From the shares of position 0 to the count.

        Where the position fails f conditions, the share is 0 for fewer forgiven ones, 1 for more, and for f
        itself 1/c or, from f = 1 on, 1/(c + 1). The sum of all shares tells f and the count. In long texts
        float32 does not tell such sums apart, and each share has a ladder of its own, of which one is not 0.
        """
        n = self.setting.context
        selected = [(Fraction(1, c), c) for c in range(n, 0, -1)]
        forgiven = [(Fraction(1, c + 1), c) for c in range(n - 1, 0, -1)]
        if n <= TOGETHER_UP_TO:
            last = len(shares) - 1
            points = [(last - f + share, c) for f in range(last, 0, -1) for share, c in forgiven]
            points += [(last + share, c) for share, c in selected]
            return [self._ladder(of, shares, points, gate, raised)]
        return [
            self._ladder(of, [share], points, gate, raised)
            for share, points in zip(
                shares, [selected, *[[*forgiven, (Fraction(1), 0)]] * (len(shares) - 1)], strict=True
            )
        ]

    def _ladder(
        self,
        of: Aggregate,
        shares: Sequence[Node],
        points: Sequence[tuple[Fraction, int]],
        gate: tuple[tuple[Plain, Node], ...],
        raised: int,
    ) -> Ladder:
        """The count for each sum of shares; 0 below the first, where the gate is shut or the share is 0."""
        terms = (*((1, share) for share in shares), *((factor * len(shares), e) for factor, e in gate))
        raised *= len(shares)
        rungs = []
        before = Fraction(0)
        for point, _ in points:
            at_least, gap = between(before, point)
            rungs.append(Rung(terms, at_least + raised, gap))
            before = point
        values = (0, *(count for _, count in points))
        return Ladder(finite(set(values)), of.text, tuple(rungs), values, place=of.place)

    def _first(self) -> Node:
        """A flag: whether this is position 0."""
        position = self.setting.position
        table: dict[tuple[Value, ...], Value] = {(i,): i == 0 for i in range(self.setting.context)}
        return Lookup(FLAGS, "position 0", (position,), table)

    def _lookup(
        self,
        domain: Finite,
        text: str,
        arguments: tuple[Node, ...],
        table: dict[tuple[Value, ...], Value],
        of: Aggregate,
    ) -> Lookup:
        return Lookup(domain, text, arguments, table, place=of.place)


def _number(value: int) -> Constant:
    return Constant(finite([value]), str(value), value)


def _constant(of: Node, value: Value | None) -> Constant:
    assert value is not None
    return Constant(finite([value]), of.text, value, place=of.place)


def _is_injective(key: Node) -> bool:
    return isinstance(key.domain, Finite) and key.text == "position"


def _joined(cases: Sequence[Case], of: Aggregate) -> Case:
    """Several cases as one condition on the joint values of all keys and all queries."""
    if len(cases) == 1:
        return cases[0]
    keys = _distinct(m.key for case in cases for m in case)
    queries = _distinct(m.query for case in cases for m in case)
    key, query = _tuple_of(keys, of), _tuple_of(queries, of)
    pairs = set()
    for k, q in product(_joint(key), _joint(query)):
        at = dict(zip(map(id, keys), k, strict=True))
        here = dict(zip(map(id, queries), q, strict=True))
        if any(all(m.holds(at[id(m.key)], here[id(m.query)]) for m in case) for case in cases):
            pairs.add((k, q))
    return (Match(key, query, frozenset(pairs)),)


def _joint(node: Lookup) -> list[tuple[Value, ...]]:
    assert isinstance(node.domain, Finite)
    return [value for value in node.domain.values if isinstance(value, tuple)]


def _distinct(nodes: object) -> list[Node]:
    return list({id(node): node for node in nodes}.values())  # type: ignore[attr-defined]


def _tuple_of(nodes: Sequence[Node], of: Aggregate) -> Lookup:
    domains = []
    size = 1
    for node in nodes:
        assert isinstance(node.domain, Finite)
        domains.append(node.domain.values)
        size *= len(node.domain.values)
    if size > PAIRS_UP_TO:
        raise CompileError(
            f"`{of.sources.text}` selects by {size:,} joint values, more than {PAIRS_UP_TO:,}",
            where=of.place,
            fix="select by fewer values at a time, or .assume() those that occur",
        )
    table: dict[tuple[Value, ...], Value] = {row: row for row in product(*domains)}
    text = f"({', '.join(map(str, nodes))})"
    return Lookup(finite(table.values()), text, tuple(nodes), table, place=of.place)


def _with_children(node: Node, done: Mapping[int, Node]) -> Node:
    """The node over children that are lowered."""
    if not node.children:
        return node
    if isinstance(node, Aggregate):
        cases = tuple(
            tuple(Match(done[id(m.key)], done[id(m.query)], m.relation) for m in case)
            for case in node.sources.cases
        )
        value = None if node.value is None else done[id(node.value)]
        return replace(node, sources=replace(node.sources, cases=cases), value=value)
    if isinstance(node, Lookup):
        return replace(node, arguments=tuple(done[id(a)] for a in node.arguments))
    if isinstance(node, Linear):
        return replace(node, terms=tuple((f, done[id(n)]) for f, n in node.terms))
    if isinstance(node, Choice):
        return replace(
            node,
            condition=done[id(node.condition)],
            yes=done[id(node.yes)],
            no=done[id(node.no)],
        )
    names = {"AtLeast": "number", "Assumed": "value"}
    name = names[type(node).__name__]
    return replace(node, **{name: done[id(getattr(node, name))]})
