"""Rules with patterns only to a plan: as all rules are, or with tokens and positions as asked for."""

from __future__ import annotations

from dataclasses import replace

from handcraft.architecture import Architecture
from handcraft.compiler.estimate import check_rules
from handcraft.compiler.rules.lower_rules import NORMED, PLAIN, lower_rules
from handcraft.compiler.rules.plan_rules import RuleWays, plan_rules
from handcraft.compiler.rules.ruled import Ruled
from handcraft.compiler.search import Way, smallest
from handcraft.compiler.stage import Stage
from handcraft.errors import CompileError, LimitError
from handcraft.language import Program
from handcraft.weights import Plan, Sizes, SpreadError, plan_model

TOKENS = ("auto", "one-hot", "binary")
"""The layouts of tokens that a program can ask for."""


def plan_patterns(
    program: Program,
    target: Architecture,
    dtype: str,
    sizes: Sizes,
    positions: str,
    tokens: str,
    *,
    reuse: bool,
) -> tuple[Plan, tuple[Stage, ...]]:
    """The smallest plan of a program of patterns, and the trees after each pass on the way to it.

    Args:
        program: as many positions long as the model.
        target: the architecture.
        dtype: of the weights.
        sizes: what is asked of the width and the heads.
        positions: the layout of positions, or ``auto``.
        tokens: the layout of tokens, or ``auto``.
        reuse: whether dimensions that are read no more are used again.

    Raises:
        CompileError: there is no such layout, or no plan with both.
        LayoutError, PrecisionError, LimitError: no way fits.
    """
    if tokens not in TOKENS:
        raise CompileError(
            f"there is no layout of tokens {tokens!r}", fix=f"use one of: {', '.join(TOKENS)}"
        )
    if positions == tokens == "auto":
        check_rules(program, target, sizes, dtype, as_bits=True)
        return plan_rules(program, target, dtype, sizes, reuse=reuse)
    if tokens == "binary" and positions not in ("auto", "binary"):
        raise CompileError(
            f"with tokens={tokens!r} positions are encoded as bits too, but positions={positions!r}",
            where=program.place,
            fix="leave out one of them, or use tokens='one-hot'",
        )

    def one_hot(asked: Sizes) -> Plan:
        check_rules(program, target, asked, dtype, as_bits=False)
        style = NORMED if target.has_norm else PLAIN
        try:
            return plan_model(lower_rules(program, positions, style), target, asked)
        except SpreadError:
            apart = replace(style, keeps_token=True)
            return plan_model(lower_rules(program, positions, apart), target, asked)

    def refused(asked: Sizes) -> Plan:
        raise LimitError(
            "some rules cannot be decided from the bits of tokens alone",
            where=program.place,
            fix="leave out tokens='binary', on the command line --tokens binary",
        )

    ways: list[Way] = [] if tokens == "binary" else [one_hot]
    if tokens != "one-hot" and positions in ("auto", "binary"):
        ruled = Ruled.of(program, target, dtype, reuse=reuse)
        ways += [*RuleWays(ruled, target, sure=True).ways_in_bits, refused]
    return smallest(ways, sizes), ()
