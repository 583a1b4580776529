"""Rules with patterns only to a plan: every way that there is, and the smallest model is kept."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from handcraft.architecture import Architecture
from handcraft.compiler.estimate import check_rules
from handcraft.compiler.rules.lower_codewords import lower_codewords
from handcraft.compiler.rules.lower_rules import NORMED, PLAIN, lower_rules
from handcraft.compiler.rules.plan_rules import pattern_ways
from handcraft.compiler.search import Way, smallest
from handcraft.errors import CompileError, LayoutError, LimitError
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
) -> Plan:
    """The smallest plan of a program of patterns.

    Args:
        program: as many positions long as the model.
        target: the architecture.
        dtype: of the weights.
        sizes: what is asked of the width and the heads.
        positions: the layout of positions, or ``auto``.
        tokens: the layout of tokens, or ``auto``.
        reuse: whether dimensions that are read no more are used again.

    Raises:
        CompileError: there is no such layout.
        LayoutError, PrecisionError, LimitError: no way fits.
    """
    if tokens not in TOKENS:
        raise CompileError(
            f"there is no layout of tokens {tokens!r}", fix=f"use one of: {', '.join(TOKENS)}"
        )
    style = NORMED if target.has_norm else PLAIN

    def binary(asked: Sizes) -> Plan:
        check_rules(program, target, asked, dtype, as_bits=True)
        return plan_model(lower_codewords(program, positions, style), target, asked)

    def one_hot(asked: Sizes) -> Plan:
        check_rules(program, target, asked, dtype, as_bits=False)
        try:
            return plan_model(lower_rules(program, positions, style), target, asked)
        except SpreadError:
            apart = replace(style, keeps_token=True)
            return plan_model(lower_rules(program, positions, apart), target, asked)

    if tokens != "auto":
        return smallest([one_hot if tokens == "one-hot" else binary], sizes)

    @cache
    def as_bits(asked: Sizes) -> Plan | None:
        try:
            return binary(asked)
        except CompileError as error:
            if isinstance(error, LayoutError):
                raise
            return None  # too many conditions would have to be told from bits

    if _is_surely_smallest(as_bits, program, sizes):
        return smallest([as_bits], sizes)
    ways: list[Way] = [as_bits, one_hot]
    if positions == "auto" and dtype != "float16":  # whose scores end at 65,504: too few for a parabola
        ways += pattern_ways(program, target, dtype, reuse=reuse)
    return smallest(ways, sizes)


def _is_surely_smallest(as_bits: Way, program: Program, sizes: Sizes) -> bool:
    """Whether no model that has a dimension for each token can be smaller than one with bits.

    It has one row of them for each token and position, and at least four such rows for each dimension
    where something looks back.
    """
    size = len(program.vocabulary)
    reads_back = any(len(clause.pattern) > 1 for clause in program.clauses)
    try:
        plan = as_bits(sizes)
    except (LayoutError, LimitError):
        return False
    least = size * (size + program.context + 4 * size * reads_back)
    return plan is not None and plan.shape.parameters(plan.architecture) <= least
