"""Rules with patterns only to a plan: every way that there is, and the smallest model is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

from handcraft.architecture import Architecture
from handcraft.compiler.estimate import check_rules
from handcraft.compiler.rules.lower_codewords import lower_codewords
from handcraft.compiler.rules.lower_rules import NORMED, PLAIN, clause_distances, lower_rules
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
            return None  # too many conditions would have to be computed from bits

    most = parameters_of(as_bits, sizes)
    others: tuple[Way, ...] = ()
    is_planned = len(program.clauses) <= RULES_PLANNED and _may_fit_one_layer(program, target, sizes)
    if positions == "auto" and is_planned:
        others, most = pattern_ways(program, target, dtype, sizes, reuse=reuse, most=most)
    ways: list[Way] = [as_bits, *([one_hot] if least_one_hot(program, target) <= most else []), *others]
    return smallest(ways, sizes)


def least_one_hot(program: Program, target: Architecture) -> int:
    """No model that `lower_rules` makes has fewer parameters.

    It has one row of dimensions for each token and position, and at least four such rows for each
    dimension where a head reads earlier tokens. Where heads do not write logits themselves, it stores a
    token for each distance, and has a hidden unit for each rule that predicts another token than the
    last one, since such a rule is always needed.
    """
    size, context = len(program.vocabulary), program.context
    *rules, last = program.live_clauses
    needed = [clause for clause in rules if clause.token != last.token]
    conditions = [clause_distances(clause, size) for clause in needed]
    read = {distance for distances in conditions for distance in distances if distance}
    if not read:
        return size * (size + context)
    predicted = Counter(clause.token for clause in needed)
    if not any(
        len(distances) > 1 and predicted[clause.token] > 1
        for clause, distances in zip(needed, conditions, strict=True)
    ):
        return size * (size + context + 4 * size)  # heads may write logits
    width, units = size * (1 + len(read)), sum(map(bool, conditions))
    if not target.has_norm:
        return width * (size + context + 4 * width + 2 * units)
    width *= 2  # and a block has four hidden units for each dimension
    return width * (size + context + 12 * max(width, units // 4))


def _may_fit_one_layer(program: Program, target: Architecture, sizes: Sizes) -> bool:
    """Whether a hidden unit for each rule fits one layer of the width that was asked for."""
    return not target.has_norm or sizes.n_embd is None or len(program.clauses) <= 4 * sizes.n_embd
