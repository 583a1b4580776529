"""Rules for texts that start with a begin token: what is read before the first token of a text.

Where no position is embedded, a head that looks back past the first token finds the begin token. A
pattern says then how many tokens there must be. Expressions that mean the first token there are lowered
in `passes/aggregates/clipped.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from handcraft.compiler.rules.rulings import Ruling, literals_of
from handcraft.language import Prompts
from handcraft.language.graph.domain import Value, as_number, finite
from handcraft.language.graph.node import Aggregate, Lookup, Node
from handcraft.language.rules.decision import Decision


def for_begin_token(
    decisions: Sequence[Decision], rulings: Sequence[Ruling], prompts: Prompts
) -> list[Ruling]:
    """The rules with a literal for every pattern that says how many tokens there must be.

    Args:
        decisions: all decisions.
        rulings: those that are needed.
        prompts: which texts are allowed.
    """
    found, known = [], dict[Node, Node]()
    for ruling in rulings:
        decision = decisions[ruling.number]
        length = len(decision.pattern)
        flag = decision.rule.flag
        written = () if flag is None else literals_of(flag.node)
        of_pattern = [each for each in ruling.literals if each not in written]
        known |= {each: _unclipped(each) for each in of_pattern if each not in known}
        literals = tuple(each if each in written else known[each] for each in ruling.literals)
        if length > 1 and not decision.pattern.anchored:
            fits = (prompts.position >= length - 1).node
            literals = literals if fits in literals else (*literals, fits)
        found.append(replace(ruling, literals=literals))
    return found


def _unclipped(literal: Node) -> Node:
    """A literal of a pattern whose head finds the begin token where there is no token so far back."""
    if not isinstance(literal, Lookup) or not isinstance(literal.arguments[0], Aggregate):
        return literal
    found = literal.arguments[0]
    ((match,),) = found.sources.cases
    assert isinstance(match.query, Lookup)
    back = max(int(as_number(here)) for (here,), there in match.query.table.items() if there == 0)
    table: dict[tuple[Value, ...], Value] = {
        (here,): int(as_number(here)) - back for (here,) in match.query.table
    }
    query = replace(match.query, domain=finite(table.values()), table=table)
    sources = replace(found.sources, cases=((replace(match, query=query),),))
    return replace(literal, arguments=(replace(found, sources=sources),))
