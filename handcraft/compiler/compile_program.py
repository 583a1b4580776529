"""The compiler on one screen: rules to circuits to plan to weights, keeping every stage."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

from handcraft.architecture import Architecture, architecture_named
from handcraft.circuits import Circuits
from handcraft.compiler.advice import advised
from handcraft.compiler.compiled import Compiled
from handcraft.compiler.encodings import Encodings
from handcraft.compiler.estimate import check_rules
from handcraft.compiler.features.overflow import check_finished
from handcraft.compiler.rare_collection import rare_collection
from handcraft.compiler.rules.plan_rules import plan_rules
from handcraft.compiler.stage import Pass, Stage
from handcraft.compiler.write_weights import write_weights
from handcraft.display import shorten_value
from handcraft.dtype import dtype_named as check_dtype
from handcraft.errors import CompileError
from handcraft.language import Expression, Program
from handcraft.language.rules.read_rules import UncoveredError
from handcraft.limits import CONTEXT
from handcraft.model import published
from handcraft.phrase import phrase, setting
from handcraft.weights import Plan, Sizes, plan_model

POSITIONS = 1024
"""How many positions a GPT-2 gets by default, so that generation is useful."""


@rare_collection()
@advised
def compile_program(
    source: Program | Circuits,
    *,
    architecture: Literal["gpt2", "block", "llama"] | Architecture = "gpt2",
    dtype: Literal["float32", "float64", "float16", "bfloat16"] = "float32",
    positions: Literal["auto", "one-hot", "binary", "sinusoidal"] = "auto",
    tokens: Literal["auto", "one-hot", "binary"] = "auto",
    n_positions: int | None = None,
    sizes: Sizes = Sizes(),  # noqa: B008 - frozen
    like: Literal[
        "gpt2-small",
        "gpt2-medium",
        "gpt2-large",
        "gpt2-xl",
        "stories260k",
        "stories15m",
        "tinyllama",
    ]
    | None = None,
    reuse: bool = True,
    optimize: bool | Collection[str] = False,
    provable: bool = False,
) -> Compiled:
    """Compile rules, or circuits laid out by hand, to the weights of a transformer.

    Args:
        source: a rule program, or circuits.
        architecture: ``gpt2`` is GPT-2 as Hugging Face runs it; ``block`` has attention, ReLU and the
            residual stream only; ``llama`` is a Llama as Hugging Face runs it, see
            `handcraft.architecture.llama` for others of its kind.
        dtype: of the weights.
        positions: how the positions that heads look for are encoded; ``auto`` takes what makes the
            smallest model.
        tokens: how tokens are encoded; ``auto`` takes what makes the smallest model.
        n_positions: how many positions the model has; by default the context of the program in
            ``block``, and 1024 or the context if larger elsewhere. In ``llama`` the begin token has one
            more.
        sizes: the width and the heads, where they are to be larger than needed.
        like: the published model whose width, heads and positions to take: ``gpt2-small``,
            ``-medium``, ``-large`` or ``-xl``, or the Llamas ``stories260k``, ``stories15m`` and
            ``tinyllama``, with their epsilon and head. `save` then fills the rest of its shape.
        reuse: whether dimensions that are no longer read are cleared and reused, in programs with
            expressions.
        optimize: whether to encode a numeric answer as one scalar, decode it to the nearest token, and
            drop what the rounding makes unnecessary; or the names of some of those passes. What each
            did and what was proved for it is in `Compiled.passes`.
        provable: in half precision, whether to take the smallest model that a proof can follow with
            every step rounded to the dtype, in place of the smallest that answers right. It may be
            several times as large; in float32 they are the same.

    Returns:
        The model, together with every stage on the way to it. The same source gives the same bits.

    Raises:
        HandcraftError: something does not fit; it names the rule or the circuit, and a fix.

    >>> from handcraft import Program, predict
    >>> aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    >>> compile_program(aab).complete("aab", n=6)
    'aabaab'
    """
    _check_source(source)
    target = architecture_named(architecture) if isinstance(architecture, str) else architecture
    check_dtype(dtype)
    if like is not None:
        if sizes != Sizes() or n_positions is not None:
            raise CompileError(
                f"both sizes and like={like!r} are given",
                fix=f"leave out n_embd, n_head, head_dim and n_positions, or {like}",
            )
        target, sizes, n_positions = _published(like, target)
    encodings = Encodings(tokens, positions)
    if target.is_rotary and positions != "auto":
        raise CompileError(
            f"{target.name} embeds no positions, so there is nothing to encode as {positions}",
            fix=phrase("leave out ", setting("positions", positions), ", or compile for gpt2"),
        )
    how = {"reuse": reuse, "provable": provable}
    wanted = _passes_of_optimize(optimize)
    passes = (Pass("ordinal", "nothing", "it is for rules over expressions"),) if wanted else ()
    if isinstance(source, Circuits):
        _check_positions(source, n_positions)
        plan = plan_model(source, target, sizes, dtype=dtype)
    elif not source.has_only_patterns:
        target = replace(target, causal=source.prompts.causal)
        if target.is_rotary and not target.causal:
            raise CompileError(
                f"{target.name} masks later positions, and the program reads them",
                where=source.place,
                fix="compile for gpt2 or block, or leave out causal=False",
            )
        _check_length(source, n_positions)
        if wanted and target.is_rotary:
            raise CompileError(
                "a numeric answer cannot be one scalar in a Llama: RMSNorm would scale it",
                where=source.place,
                fix=phrase("leave out ", setting("optimize"), ", or compile for gpt2"),
            )
        if wanted:
            return _optimized(source, target, dtype, sizes, wanted, encodings, **how)
        found = plan_rules(source, target, dtype, sizes, encodings, **how)
        return _emitted(source, *found, dtype)
    else:
        program = _widen(source, target, n_positions)
        check_rules(program, target, sizes, dtype, as_bits=tokens != "one-hot")
        found = plan_rules(program, target, dtype, sizes, encodings, **how)
        return _emitted(source, *found, dtype, passes)
    return _emitted(source, plan, (), dtype, passes)


def _published(name: str, target: Architecture) -> tuple[Architecture, Sizes, int]:
    """The architecture, the sizes and the positions of a published model.

    Raises:
        CompileError: it is of another kind than the target.
    """
    architecture, shape = published(name)
    if architecture.is_rotary is not target.is_rotary:
        raise CompileError(
            f"{name} is a {architecture.name}, and the architecture is {target.name}",
            fix=phrase("use ", setting("architecture", architecture.name)),
        )
    if not target.is_rotary:
        return target, Sizes(n_embd=shape.n_embd, n_head=shape.n_head), shape.n_positions
    sizes = Sizes(shape.n_embd, shape.n_head, shape.head_dim, shape.kv_heads)
    return architecture, sizes, shape.n_positions - 1  # the begin token has one


def _emitted(
    source: Program | Circuits,
    plan: Plan,
    stages: tuple[Stage, ...],
    dtype: str,
    passes: tuple[Pass, ...] = (),
) -> Compiled:
    """The model of a plan.

    Raises:
        PrecisionError: the dtype cannot represent a weight, or what depends on it.
    """
    sharpness, placement, model = write_weights(plan, dtype)
    if isinstance(source, Program):
        check_finished(model, source)
    if any(head.attends.attention_weights for block in plan.circuits.blocks for head in block.heads):
        from handcraft.compiler.ordinal import check_shares

        check_shares(model, plan.circuits)
    return Compiled(source, plan, sharpness, placement, model, stages, passes)


def _check_source(source: object) -> None:
    """Raise unless it is a program or circuits, with what makes one of it.

    Raises:
        CompileError: it is neither.
    """
    if isinstance(source, Program | Circuits):
        return
    fix = "give a Program, or Circuits laid out by hand"
    if isinstance(source, str):
        fix = (
            "parse_rules(text) makes a program of rules; on the command line, `handcraft compile NAME`"
        )
    elif isinstance(source, Expression):
        fix = 'compile_sequences({"name": expression}); or predict(expression) as a rule of a program'
    elif isinstance(source, type):
        fix = f"make one: {source.__name__}(...)"
    raise CompileError(
        f"{shorten_value(source)} is of type {type(source).__name__}, not a program", fix=fix
    )


def _passes_of_optimize(optimize: bool | Collection[str]) -> tuple[str, ...]:
    """The requested passes; their package is imported only if there are any."""
    if optimize is False:
        return ()
    from handcraft.compiler.ordinal import passes_named

    return passes_named(optimize)


def _optimized(
    program: Program,
    target: Architecture,
    dtype: str,
    sizes: Sizes,
    wanted: Collection[str],
    encodings: Encodings,
    **how: bool,
) -> Compiled:
    """The model with the answer as one scalar, where that is smaller or the only one that fits."""
    from handcraft.compiler.ordinal import compile_ordinal

    plan: Plan | None = None
    stages: tuple[Stage, ...] = ()
    refused: CompileError | None = None
    try:
        plan, stages = plan_rules(program, target, dtype, sizes, encodings, **how)
    except CompileError as error:
        refused = error
    try:
        found, passes = compile_ordinal(program, target, dtype, sizes, wanted)
        if plan is None or found.shape.parameters(target) < plan.shape.parameters(target):
            return _emitted(program, found, stages, dtype, passes)
        reason = "encoding the answer as one scalar would not take fewer parameters"
    except CompileError as error:
        reason = error.what
    if plan is None:
        raise refused or CompileError(reason)
    return _emitted(program, plan, stages, dtype, (Pass("ordinal", "nothing", reason),))


def _widen(program: Program, target: Architecture, n_positions: int | None) -> Program:
    """The program with as many positions as the model will have."""
    _check_number(n_positions, program)
    if n_positions is not None and n_positions < program.context:
        raise CompileError(
            f"the context is {program.context} tokens, but n_positions={n_positions}",
            where=program.place,
            fix=f"n_positions={program.context}, or a shorter context",
        )
    if n_positions is not None:
        return program.widened(n_positions)
    if target.norm == "none" or program.context >= POSITIONS:
        return program
    if any(c.pattern.anchored and len(c.pattern) == program.context for c in program.clauses):
        return program  # what it calls the start moves with its window
    try:
        return program.widened(POSITIONS)
    except UncoveredError:  # its rules are made for its own context only
        return program


def _check_number(n_positions: object, program: Program) -> None:
    if n_positions is None:
        return
    if not isinstance(n_positions, int) or isinstance(n_positions, bool):
        raise CompileError(
            f"n_positions={shorten_value(n_positions)}, of type {type(n_positions).__name__}",
            where=program.place,
            fix=f"use a whole number of positions, {program.context} or more",
        )
    CONTEXT.check(n_positions, where=program.place, fix=f"n_positions={CONTEXT.most} or fewer")


def _check_length(program: Program, n_positions: int | None) -> None:
    if n_positions not in (None, program.context):
        raise CompileError(
            f"the expressions of the program are written for {program.context} positions, but "
            f"n_positions={n_positions}",
            where=program.place,
            fix=f"Prompts(..., context={n_positions})",
        )


def _check_positions(circuits: Circuits, n_positions: int | None) -> None:
    if n_positions not in (None, circuits.context):
        raise CompileError(
            f"the circuits have {circuits.context} positions, but n_positions={n_positions}",
            where=circuits.place,
            fix="lay out the positions that you need",
        )
