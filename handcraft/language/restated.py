"""Programs and named expressions with fewer prompts, or with a promise about an expression."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import lcm
from typing import Any, TypeAlias

from handcraft.errors import DomainError, HandcraftWarning, ProgramError
from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.domain import Finite, Value, as_number
from handcraft.language.graph.node import (
    Aggregate,
    Assumed,
    AtLeast,
    Case,
    Choice,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Match,
    Node,
    Sources,
    is_position,
    walk,
)
from handcraft.language.graph.source_counts import is_always
from handcraft.language.graph.wording import Wording, enclosed, reads, show_list
from handcraft.language.program import Program
from handcraft.language.rules.rule import Rule
from handcraft.language.sequences import Expression, Prompts

Stated: TypeAlias = "Program | Mapping[str, Expression]"
"""A program, or expressions by their names."""


def prompts_of(stated: Stated) -> Prompts:
    """The prompts that it is about."""
    if isinstance(stated, Program):
        return stated.prompts
    return next(iter(stated.values())).prompts


def expressions_of(stated: Stated) -> list[Expression]:
    """The expressions in it, as written."""
    if not isinstance(stated, Program):
        return list(stated.values())
    parts = [part for rule in stated.rules for part in (rule.answer, rule.flag)]
    return [part for part in parts if isinstance(part, Expression)]


def with_context(stated: Stated, context: int) -> Stated:
    """The same over a shorter context.

    Raises:
        HandcraftError: something in it depends on the context, or no prompt is that short.
    """
    shorter = _changed(prompts_of(stated), context=context)
    if shorter.refuses_some and not shorter.texts.count:
        raise ProgramError(f"no allowed prompt has {context} tokens or fewer")
    return _restated(stated, shorter, {})


def with_tokens(stated: Stated, tokens: Collection[str]) -> tuple[str, Stated]:
    """The same, over only the prompts that consist of some tokens, and the `inputs=` that states these.

    Raises:
        HandcraftError: no prompt has only these, or a strategy decides which prompts are allowed.
    """
    prompts = prompts_of(stated)
    if not isinstance(prompts.inputs, str | None):
        raise ProgramError("a strategy decides which prompts are allowed")
    is_words = any(len(token) > 1 for token in prompts.vocabulary.tokens)
    one = f"(?:{'|'.join(map(re.escape, tokens))})"
    inputs = f"{one}(?: {one})*" if is_words else f"{one}+"
    if prompts.inputs is not None:
        inputs = f"(?={inputs}$)(?:{prompts.inputs})"
    fewer = _changed(prompts, inputs=inputs)
    if not fewer.texts.count:
        raise ProgramError(f"no allowed prompt has only the tokens {', '.join(map(repr, tokens))}")
    return inputs, _restated(stated, fewer, {})


def _changed(prompts: Prompts, **options: Any) -> Prompts:
    """The same prompts with some options of `Prompts` changed."""
    names = ("vocabulary", "context", "inputs", "bos", "causal", "writes", "place")
    return Prompts(**{name: getattr(prompts, name) for name in names} | options)


def with_promise(stated: Stated, node: Node, values: Sequence[Value]) -> Stated:
    """The same, where an expression in it is assumed to have some values only.

    Raises:
        HandcraftError: a table in it lacks a row for them.
    """
    prompts = prompts_of(stated)
    return _restated(stated, prompts, {node: values})


def _restated(stated: Stated, prompts: Prompts, promised: Mapping[Node, Sequence[Value]]) -> Stated:
    written = expressions_of(stated)
    nodes = restate([expression.node for expression in written], prompts, promised)
    found = (Expression(prompts, node) for node in nodes)
    if not isinstance(stated, Program):
        return dict(zip(stated, found, strict=True))
    rules: list[Rule] = []
    for rule in stated.rules:
        answer = next(found) if isinstance(rule.answer, Expression) else rule.answer
        flag = next(found) if rule.flag is not None else None
        rules.append(replace(rule, answer=answer, flag=flag))
    with warnings.catch_warnings(action="ignore", category=HandcraftWarning):  # given once, before
        return Program(prompts=prompts, rules=rules, place=stated.place)


def restate(
    roots: Sequence[Node], prompts: Prompts, promised: Mapping[Node, Sequence[Value]] | None = None
) -> list[Node]:
    """The same expressions over other prompts.

    Raises:
        DomainError: a table, an assumption or a position depends on the original context.
    """
    known = promised or {}
    done: dict[Node, Node] = {}
    for node in walk(*roots):
        found = _remade(node, done, prompts).called(node.text, node.place)
        if node in known:
            found = pointwise.assume(found, known[node], promise(node, known[node]))
            found = found.called(found.text, node.place)
        done[node] = found
    return [done[root] for root in roots]


def promise(node: Node, values: Sequence[Value]) -> Wording:
    """How it is written that an expression has only some values."""
    return reads(enclosed(node, 8), f".assume({show_list(values)})")


def _remade(node: Node, done: Mapping[Node, Node], prompts: Prompts) -> Node:
    match node:
        case Embedded():
            return prompts.token.node if node.of == "token" else prompts.position.node
        case Lookup():
            return pointwise.lookup(
                lambda *row: node.table[row], [done[a] for a in node.arguments], node.text
            )
        case Linear():
            terms = [(factor, done[term]) for factor, term in node.terms]
            return pointwise.linear(terms, node.constant, node.text)
        case AtLeast():
            return _threshold(node, done[node.number])
        case Choice():
            return pointwise.where(*(done[child] for child in node.children))
        case Assumed():
            if not isinstance(node.domain, Finite):
                return node
            return pointwise.assume(done[node.value], node.domain.values, node.text)
        case Aggregate():
            return _aggregate(node, done, prompts.context)
    return node


def _threshold(node: AtLeast, number: Node) -> Node:
    """A threshold; a table where what is compared is few enough now."""
    was_listed = isinstance(node.number.domain, Finite)
    if isinstance(number, Linear) and not was_listed:
        terms = number.terms
        if all(isinstance(term.domain, Finite) for _, term in terms):
            factors = [factor for factor, _ in terms]

            def reaches(*row: Value) -> bool:
                summed = sum(f * as_number(v) for f, v in zip(factors, row, strict=True))
                return bool(summed + number.constant >= node.bound)

            return pointwise.lookup(reaches, [term for _, term in terms], node.text)
    return AtLeast(node.domain, node.text, number, node.bound)


def _aggregate(node: Aggregate, done: Mapping[Node, Node], context: int) -> Node:
    cases = tuple(_case(case, done, context) for case in node.sources.cases)
    text = node.sources.text
    always = node.sources.always or is_always(Sources(cases, text, always=False))
    value = None if node.value is None else done[node.value]
    most = context
    if node.how == "mean" and node.value is not None:  # a window sees less than the context
        most = min(most, max(1, node.domain.parts // lcm(*range(1, node.value.domain.parts + 1))))
    sources = Sources(cases, text, always=always)
    default = attend.NONE if node.default is None else node.default
    return attend.aggregate(sources, node.how, value, default, node.text, most)


def _case(case: Case, done: Mapping[Node, Node], context: int) -> Case:
    return tuple(_match(match, done, context) for match in case)


def _match(match: Match, done: Mapping[Node, Node], context: int) -> Match:
    key, query = done[match.key], done[match.query]
    if is_position(key) and isinstance(query, Constant) and as_number(query.value) >= context:
        raise DomainError(f"there is no position {query.value} in a context of {context}")
    if not isinstance(match.relation, frozenset):
        return Match(key, query, match.relation)
    keys, queries = set(pointwise.listed(key)), set(pointwise.listed(query))
    kept = frozenset((k, q) for k, q in match.relation if k in keys and q in queries)
    return Match(key, query, kept)
