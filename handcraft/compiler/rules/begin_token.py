"""Rules for texts that start with a begin token: what is read before the first token of a text.

Where no position is embedded, a head that looks back past the first token finds the begin token. A
pattern says then how many tokens there must be. An expression must not read the first token in place of
one that is not there, as a head of GPT-2 does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from handcraft.compiler.passes.cases import Setting, at_positions, is_positional
from handcraft.compiler.rules.rulings import Ruling
from handcraft.errors import CompileError
from handcraft.language import Prompts
from handcraft.language.graph.domain import as_number
from handcraft.language.graph.node import Aggregate, Comparison, Node, is_position, walk
from handcraft.language.rules.decision import Decision


def for_begin_token(
    decisions: Sequence[Decision], rulings: Sequence[Ruling], prompts: Prompts
) -> list[Ruling]:
    """The rules with a literal for every pattern that says how many tokens there must be.

    Args:
        decisions: all decisions.
        rulings: those that are needed.
        prompts: which texts are allowed.

    Raises:
        CompileError: an expression reads the first token in place of an earlier one.
    """
    setting = Setting(prompts.context, causal=True, rotary=True)
    found = []
    for ruling in rulings:
        decision = decisions[ruling.number]
        answer = [decision.answer] if isinstance(decision.answer, Node) else []
        flag = [] if decision.rule.flag is None else [decision.rule.flag.node]
        for node in _reading_the_first(walk(*answer, *flag), setting):
            raise CompileError(
                f"`{node}` reads the first token where there is none so far back, and a Llama finds "
                "its begin token there",
                where=decision.origin.place,
                fix="give .at() a default, or compile for gpt2",
            )
        length = len(decision.pattern)
        literals = ruling.literals
        if length > 1 and not decision.pattern.anchored:
            fits = (prompts.position >= length - 1).node
            literals = literals if fits in literals else (*literals, fits)
        found.append(replace(ruling, literals=literals))
    return found


def _reading_the_first(nodes: Iterator[Node], setting: Setting) -> Iterator[Node]:
    """Aggregates that name a position where it would be before the text, and mean the first."""
    for node in nodes:
        if not isinstance(node, Aggregate) or len(node.sources.cases) != 1:
            continue
        case = node.sources.cases[0]
        if len(case) != 1 or case[0].relation is not Comparison.EQ or not is_position(case[0].key):
            continue
        if not is_positional(case[0]):
            continue
        there = [int(as_number(value)) for value in at_positions(case[0].query, setting)]
        if there[:2] == [0, 0] and any(there):
            yield node
