"""Programs and named expressions over a shorter context, or with a promise about an expression."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from handcraft.errors import HandcraftWarning, ProgramError
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Node
from handcraft.language.program import Program
from handcraft.language.rule import Rule
from handcraft.language.sequences import Expression, Prompts
from handcraft.language.sequences.restate import restate

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
    prompts = prompts_of(stated)
    shorter = Prompts(
        prompts.vocabulary,
        context,
        inputs=prompts.inputs,
        bos=prompts.bos,
        causal=prompts.causal,
        writes=prompts.writes,
        place=prompts.place,
    )
    if shorter.refuses_some and not shorter.texts.count:
        raise ProgramError(f"no allowed prompt has {context} tokens or fewer")
    return _restated(stated, shorter, {})


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
    found = iter([Expression(prompts, node) for node in nodes])
    if not isinstance(stated, Program):
        return dict(zip(stated, found, strict=True))
    rules: list[Rule] = []
    for rule in stated.rules:
        answer = next(found) if isinstance(rule.answer, Expression) else rule.answer
        flag = next(found) if rule.flag is not None else None
        rules.append(replace(rule, answer=answer, flag=flag))
    with _quiet():
        return Program(prompts=prompts, rules=rules, place=stated.place)


def _quiet() -> warnings.catch_warnings[None]:
    """Without warnings, which were given when the rules were written."""
    return warnings.catch_warnings(action="ignore", category=HandcraftWarning)
