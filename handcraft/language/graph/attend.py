"""Make selections, and aggregates of the selected positions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import product
from math import lcm
from typing import cast

from handcraft.errors import DomainError
from handcraft.language.graph.domain import (
    FLAGS,
    VALUES_UP_TO,
    Domain,
    Finite,
    Kind,
    Plain,
    Range,
    Value,
    finite,
    numbers,
    plain_value,
    show_value,
    whole,
    whole_numbers,
)
from handcraft.language.graph.node import (
    Aggregate,
    Case,
    Comparison,
    How,
    Match,
    Node,
    Sources,
)
from handcraft.language.graph.pointwise import check_comparable, listed
from handcraft.language.graph.source_counts import is_always
from handcraft.language.graph.wording import Wording, enclosed, reads
from handcraft.language.written.written_place import written, written_place
from handcraft.limits import CONDITIONS, DENOMINATOR, RELATION_PAIRS


class Missing:
    """Stands for an omitted default."""

    def __repr__(self) -> str:
        return "<no default>"


NONE = Missing()


def matching(key: Node, query: Node, relation: object, text: Wording) -> Sources:
    """The sources whose key is in a relation to the query at the destination.

    Raises:
        DomainError: the two cannot be compared, have too many values, or there is no such comparison.
    """
    if isinstance(relation, str) and relation in {c.value for c in Comparison}:
        relation = Comparison(relation)
    listed(key), listed(query)
    if isinstance(relation, Comparison):
        check_comparable(key, query, relation, text)
        return _sources(((Match(key, query, relation),),), text)
    if not callable(relation):
        known = ", ".join(f'"{c.value}"' for c in Comparison)
        raise DomainError(
            f"{relation!r} is not a relation of a key and a query",
            where=written(text),
            fix=f"use one of {known}, or a function of both",
        )
    keys, queries = listed(key), listed(query)
    if len(keys) * len(queries) > RELATION_PAIRS.most:
        raise DomainError(
            f"a table of {len(keys):,} keys by {len(queries):,} queries, more than "
            f"{RELATION_PAIRS.most:,} pairs",
            where=written(text),
            fix="use a comparison, or .assume() the values that occur",
        )
    pairs = frozenset((k, q) for k, q in product(keys, queries) if relation(k, q))
    return _sources(((Match(key, query, pairs),),), text)


def everything() -> Sources:
    """All positions that are seen."""
    return Sources(((),), reads("everything"), always=True)


def intersection(one: Sources, other: Sources) -> Sources:
    """What both select."""
    text = reads(enclosed(one, 2), " & ", enclosed(other, 3), binding=3)
    _check_size(len(one.cases) * len(other.cases), text)
    cases = tuple((*a, *b) for a in one.cases for b in other.cases)
    return _sources(cases, text)


def union(one: Sources, other: Sources) -> Sources:
    """What either selects: the first, and of the second what the first does not."""
    text = reads(enclosed(one, 1), " | ", enclosed(other, 2), binding=2)
    outside = _complement(one)
    _check_size(len(outside) * len(other.cases), text)
    rest = tuple((*a, *b) for a in outside for b in other.cases)
    either = _sources((*one.cases, *rest), text)
    return replace(either, always=one.always or other.always or either.always)


def complement(one: Sources) -> Sources:
    """What it does not select."""
    return _sources(_complement(one), reads("~", enclosed(one, 6), binding=7))


def _complement(sources: Sources) -> tuple[Case, ...]:
    """Disjoint cases of everything else: each case is broken at its first condition that fails."""
    rest: list[Case] = [()]
    for case in sources.cases:
        broken = [(*case[:i], _negated(match)) for i, match in enumerate(case)]
        _check_size(len(rest) * len(broken), sources.text)
        rest = [(*before, *more) for before in rest for more in broken]
    return tuple(rest)


def _check_size(conditions: int, text: Wording) -> None:
    if conditions > CONDITIONS.most:  # the place takes long to find
        fix = "compute one flag and select by it, as select(flag, True)"
        CONDITIONS.check(conditions, where=written(text), fix=fix)


def _negated(match: Match) -> Match:
    if isinstance(match.relation, Comparison):
        return Match(match.key, match.query, match.relation.opposite)
    everyone = product(listed(match.key), listed(match.query))
    return Match(match.key, match.query, frozenset(everyone) - match.relation)


def _sources(cases: tuple[Case, ...], text: Wording) -> Sources:
    _check_size(sum(map(len, cases)), text)
    return Sources(cases, text, always=is_always(Sources(cases, text, always=False)))


def aggregate(
    sources: Sources, how: How, value: Node | None, default: object, text: Wording, context: int
) -> Aggregate:
    """An aggregate of the selected sources.

    Args:
        sources: which are selected.
        how: as in `Aggregate`.
        value: what is read at the sources; None for a count and for existence.
        default: the value where nothing is selected; `NONE` for no default.
        text: how it reads.
        context: the most positions that are ever selected.

    Raises:
        DomainError: nothing may be selected and there is no default, or it is not a value of the kind.
    """
    if how == "count":
        known: Domain = whole_numbers(int(sources.always), context)
        return Aggregate(known, text, sources, how, None, None if sources.always else 0)
    if how == "exists":
        return Aggregate(FLAGS, text, sources, how, None, None if sources.always else False)
    assert value is not None
    if how == "mean" and value.domain.kind is Kind.CATEGORY:
        raise DomainError(
            f"`{value}` has no mean: it is one of {value.domain}",
            where=written(text),
            fix="take its .latest() or .earliest(), or turn it into numbers with .map({...})",
        )
    if default is NONE and not sources.always:
        raise DomainError(
            "a position may select nothing, and there is no default",
            where=written(text),
            fix=f"give default=, a value of `{value}`: {value.domain}",
        )
    known = mean_domain(value, context) if how == "mean" else value.domain
    fallback: Value | None = None
    if default is not NONE and not sources.always:
        fallback = plain_value(default)
        known = with_default(known, fallback, value, text)
    return Aggregate(known, text, sources, how, value, fallback)


def with_default(domain: Domain, default: Value, value: Node, text: Wording) -> Domain:
    """A domain with a default in it; a number or a flag may be new, a label may not."""
    if domain.kind is Kind.FLAG and isinstance(default, bool):
        return FLAGS if default not in domain else domain
    is_number = isinstance(default, int | Fraction) and not isinstance(default, bool)
    if domain.kind is Kind.NUMBER and is_number:
        number = cast("Plain", default)
        if isinstance(domain, Finite):
            grown = finite([*domain.values, number])
            unit = domain.unit / Fraction(Fraction(number) / domain.unit).denominator
            return grown if domain.grid is None else replace(grown, grid=(unit, domain.parts))
        unit = domain.unit / Fraction(Fraction(number) / domain.unit).denominator
        return Range(min(domain.low, number), max(domain.high, number), unit, domain.parts)
    if not isinstance(domain, Finite) or default not in domain:
        raise DomainError(
            f"the default {show_value(default)} is not a value of `{value}`: {domain}",
            where=written(text),
            fix=f"give one of: {domain}",
        )
    return domain


def mean_domain(value: Node, context: int) -> Domain:
    """Means of up to `context` numbers: unit * p / q with q up to the context."""
    low, high, unit = value.domain.low, value.domain.high, value.domain.unit
    if value.domain.parts > DENOMINATOR.most:
        raise DomainError(
            f"`{value}` may be a fraction with a denominator above {DENOMINATOR.most:,}: a mean of "
            "means of means, of which no further mean can be taken",
            where=written_place(),
            fix="compare it with a number first, or .assume() the values that occur",
        )
    parts = context * lcm(*range(1, value.domain.parts + 1))  # p / q of different q add up
    steps = (high - low) / unit
    if value.domain.parts == 1 and steps * context * (context + 1) / 2 <= 4 * VALUES_UP_TO:
        return _means(low, unit, int(steps), context, parts)
    return Range(low, high, unit, parts)


@cache
def _means(low: Plain, unit: Fraction, steps: int, context: int, parts: int) -> Domain:
    """All low + unit * p / q where p / q is at most `steps` and q at most the context.

    In order they are a Farey sequence: after p / q and r / s comes (k r - p) / (k s - q), reduced, with
    the largest k for which the denominator is not above the context.
    """
    means: list[Plain] = []
    p, q, r, s = 0, 1, 1, context
    while p <= steps * q:
        mean = low + unit * Fraction(p, q)
        means.append(whole(mean))
        k = (context + q) // s
        p, q, r, s = r, s, k * r - p, k * s - q
    return numbers(means, unit=unit, parts=parts)
