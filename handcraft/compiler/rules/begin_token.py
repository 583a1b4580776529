"""Rules for texts that start with a begin token: what is read before the first token of a text.

Where no position is embedded, a head that looks back past the first token finds the begin token. A
pattern says then how many tokens there must be. Expressions that mean the first token there are lowered
in `passes/clipped.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from handcraft.compiler.rules.rulings import Ruling
from handcraft.language import Prompts
from handcraft.language.decision import Decision


def for_begin_token(
    decisions: Sequence[Decision], rulings: Sequence[Ruling], prompts: Prompts
) -> list[Ruling]:
    """The rules with a literal for every pattern that says how many tokens there must be.

    Args:
        decisions: all decisions.
        rulings: those that are needed.
        prompts: which texts are allowed.
    """
    found = []
    for ruling in rulings:
        decision = decisions[ruling.number]
        length = len(decision.pattern)
        literals = ruling.literals
        if length > 1 and not decision.pattern.anchored:
            fits = (prompts.position >= length - 1).node
            literals = literals if fits in literals else (*literals, fits)
        found.append(replace(ruling, literals=literals))
    return found
