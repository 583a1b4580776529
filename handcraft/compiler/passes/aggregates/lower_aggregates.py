"""Selections to heads and step functions: means, single sources, existence, counts.

A head always attends to something: if no source matches, to those that fail the fewest conditions. So
another value says whether any source matches, and chooses between the output of the head and a default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from handcraft.compiler.passes.aggregates.clipped import clipped_look_back
from handcraft.compiler.passes.aggregates.counts import count
from handcraft.compiler.passes.aggregates.head_outputs import HeadOutputs
from handcraft.compiler.passes.aggregates.joined import joined
from handcraft.compiler.passes.aggregates.unequal import Unequal
from handcraft.compiler.passes.aggregates.unrolled import unrolled_means
from handcraft.compiler.passes.cases import Setting, simplified
from handcraft.compiler.passes.children import with_children
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import Attend
from handcraft.language.graph.attend import mean_domain
from handcraft.language.graph.domain import Finite, Plain, Value, finite
from handcraft.language.graph.node import (
    Aggregate,
    AtLeast,
    Case,
    Choice,
    Constant,
    Linear,
    Lookup,
    Node,
    case_key,
    walk,
)
from handcraft.language.graph.pointwise import linear
from handcraft.language.graph.source_counts import finds_one
from handcraft.language.graph.wording import enclosed, listed_in


def lower_aggregates(roots: Sequence[Node], setting: Setting) -> list[Node]:
    """The same values with `Attend` and `StepFunction` in place of every `Aggregate`.

    Raises:
        CompileError: a selection by too many joint values.
    """
    done: dict[Node, Node] = {}
    for node in walk(*roots):
        done[node] = _lowered(node, done, setting)
    return rebuild([done[root] for root in roots])


def _lowered(node: Node, done: Mapping[Node, Node], setting: Setting) -> Node:
    fresh = with_children(node, done)
    if isinstance(node, AtLeast | Lookup) and setting.rotary and not setting.holds_parts:
        return unrolled_means(node, done, setting) or fresh
    if isinstance(fresh, Linear):
        return _merged(fresh, setting)
    if not isinstance(fresh, Aggregate):
        return fresh
    assert isinstance(node, Aggregate)
    cases = [simplified(case, setting) for case in fresh.sources.cases]
    found = [case for case in cases if case is not None]
    if fresh.how == "count":
        return count(fresh, found, setting)
    unequal = Unequal.read(fresh, found[0], setting) if setting.in_bits and len(found) == 1 else None
    if unequal is not None and (fresh.value is None or isinstance(fresh.value.domain, Finite)):
        if fresh.value is None:
            return unequal.exists()
        raw = unequal.moved(fresh.value)
        return (
            raw if fresh.default is None else _or_default(fresh, unequal.exists(), raw, fresh.default)
        )
    alone = finds_one(node.sources, setting.context, setting.causal)
    if fresh.value is None:
        known = True if alone else None if found else False
        return _constant(fresh, known) if known is not None else _exists(fresh, found, setting)
    if not found:
        return _constant(fresh, fresh.default)
    assert fresh.how in ("mean", "latest", "earliest")
    if setting.rotary and len(found) == 1 and len(cases) == 1:
        clipped = clipped_look_back(HeadOutputs(fresh, setting), found[0], fresh.value)
        if clipped is not None:
            return clipped
    raw = HeadOutputs(fresh, setting).moved(joined(found, fresh), fresh.value, fresh.how, unique=alone)
    if fresh.default is None or alone:
        return raw
    return _or_default(fresh, _exists(fresh, found, setting), raw, fresh.default)


def _exists(of: Aggregate, found: Sequence[Case], setting: Setting) -> Node:
    return HeadOutputs(of, setting).exists(joined(found, of))


def _or_default(of: Aggregate, exists: Node, raw: Node, default: Value) -> Node:
    """The output of the head if a source matches, else the default."""
    if not isinstance(raw.domain, Finite) or not isinstance(of.domain, Finite):
        fallback = _constant(of, default)
        return Choice(of.domain, of.text, exists, raw, fallback, place=of.place)
    table: dict[tuple[Value, ...], Value] = {
        (flag, value): value if flag else default
        for flag, value in product((False, True), raw.domain.values)
    }
    return Lookup(of.domain, of.text, (exists, raw), table, place=of.place)


def _merged(node: Linear, setting: Setting) -> Node:
    """Merge means over the same sources into one mean of a sum."""
    groups: dict[object, list[tuple[Plain, Attend]]] = {}
    rest: list[tuple[Plain, Node]] = []
    for factor, term in node.terms:
        if isinstance(term, Attend) and term.picks == "mean":
            groups.setdefault((case_key(term.case), term.slack, term.base, term.sunk), []).append(
                (factor, term)
            )
        else:
            rest.append((factor, term))
    if all(len(group) == 1 for group in groups.values()):
        return node
    for group in groups.values():
        text = listed_in([enclosed(term.value, 4) for _, term in group], " + ", binding=5)
        inner = linear([(factor, term.value) for factor, term in group], 0, text)
        domain = mean_domain(inner, setting.context)
        rest.append((1, replace(group[0][1], domain=domain, value=inner, text=node.text)))
    domain = rest[0][1].domain if len(rest) == 1 and not node.constant else node.domain
    return replace(node, terms=tuple(rest), domain=domain)


def _constant(of: Node, value: Value | None) -> Constant:
    assert value is not None
    return Constant(finite([value]), of.text, value, place=of.place)
