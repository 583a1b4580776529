"""Hypothesis strategies: prompts, sequence expressions over all primitives, and programs made of them.

Every expression is valid by construction; none is filtered out. Its printed form is Python that makes
it again: its tables are dictionaries of a few rows, and its functions are builtins.
"""

from __future__ import annotations

from hypothesis import strategies as st

from handcraft.language import Expression, Program, Prompts
from handcraft.random_programs import KINDS, Kind, Making, make_expression_program, make_prompts
from handcraft.testing.drawn import Drawn


@st.composite
def declared_prompts(
    draw: st.DrawFn,
    *,
    min_tokens: int = 2,
    max_tokens: int = 4,
    min_context: int = 2,
    max_context: int = 6,
    causal: bool = True,
) -> Prompts:
    """Prompts over a few letters, of which every text is allowed."""
    tokens, context = (min_tokens, max_tokens), (min_context, max_context)
    return make_prompts(Drawn(draw), tokens=tokens, context=context, causal=causal)


@st.composite
def expressions(
    draw: st.DrawFn,
    prompts: Prompts,
    *,
    depth: int = 3,
    kind: Kind | None = None,
    wide: bool = False,
) -> Expression:
    """Expressions over all primitives but `assume`.

    With `wide`, numbers may have many values, or too many to list. A useful `depth` is at most about 6.
    """
    drawn = Drawn(draw)
    wanted = KINDS[drawn.whole(0, len(KINDS) - 1)] if kind is None else kind
    return Making(drawn, prompts, wide).expression(wanted, drawn.whole(0, depth))


@st.composite
def sequence_programs(
    draw: st.DrawFn,
    *,
    max_tokens: int = 4,
    max_context: int = 6,
    max_rules: int = 4,
    depth: int = 3,
    distributions: bool = True,
    causal: bool = True,
) -> Program:
    """Programs over prompts, whose rules read expressions, patterns and flags.

    The last rule fires always; `depth` is that of the expressions.
    """
    drawn = Drawn(draw)
    prompts = make_prompts(drawn, tokens=(2, max_tokens), context=(2, max_context), causal=causal)
    return make_expression_program(
        drawn, prompts, max_rules=max_rules, depth=depth, distributions=distributions
    )
