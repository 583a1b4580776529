"""Rules with patterns only to a plan: every way that there is, and the smallest model is kept."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from handcraft.architecture import Architecture
from handcraft.compiler.estimate import check_rules
from handcraft.compiler.rules.lower_codewords import lower_codewords
from handcraft.compiler.rules.lower_rules import NORMED, PLAIN, lower_rules
from handcraft.compiler.rules.plan_rules import pattern_ways
from handcraft.compiler.search import Way, parameters_of, smallest
from handcraft.errors import CompileError, LayoutError
from handcraft.language import Program
from handcraft.weights import Plan, Sizes, SpreadError, plan_model

TOKENS = ("auto", "one-hot", "binary")
"""The layouts of tokens that a program can ask for."""

RULES_PLANNED = 4096
"""Programs of more rules are planned only by the ways for patterns: others take milliseconds a rule."""


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

    ways: list[Way] = [as_bits]
    most = parameters_of(as_bits, sizes)
    if most > _least_one_hot(program):
        ways.append(one_hot)
    is_planned = len(program.clauses) <= RULES_PLANNED and _may_fit_one_layer(program, target, sizes)
    if positions == "auto" and is_planned:
        ways += pattern_ways(program, target, dtype, reuse=reuse, most=most)
    return smallest(ways, sizes)


def _least_one_hot(program: Program) -> int:
    """No model with a dimension for each token has fewer parameters.

    It has one row of them for each token and position, and at least four such rows for each dimension
    where a head reads earlier tokens.
    """
    size = len(program.vocabulary)
    reads_back = any(len(clause.pattern) > 1 for clause in program.clauses)
    return size * (size + program.context + 4 * size * reads_back)


def _may_fit_one_layer(program: Program, target: Architecture, sizes: Sizes) -> bool:
    """Whether a hidden unit for each rule fits one layer of the width that was asked for."""
    return not target.has_norm or sizes.n_embd is None or len(program.clauses) <= 4 * sizes.n_embd
