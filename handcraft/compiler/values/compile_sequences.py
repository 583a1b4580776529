"""Expressions to a transformer, on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from handcraft.architecture import Architecture, architecture_named
from handcraft.compiler.advice import advised
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.assemble import assemble
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.features.reuse import with_reuse
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.run_passes import run_passes
from handcraft.compiler.values.compiled_sequences import CompiledSequences
from handcraft.compiler.values.error_bound import bound_errors
from handcraft.compiler.values.finished import Finished, read_error
from handcraft.compiler.values.output import Wanted
from handcraft.compiler.write_weights import write_weights
from handcraft.display import shorten_value
from handcraft.dtype import DTypeName, dtype_named
from handcraft.errors import CompileError
from handcraft.language import Program
from handcraft.language.sequences.expression import Expression, check_same
from handcraft.weights import Sizes, plan_model


def _check_outputs(outputs: object) -> None:
    """Raise unless they are expressions with names, at least one."""
    if not isinstance(outputs, Mapping):
        is_program = isinstance(outputs, Program)
        raise CompileError(
            f"{shorten_value(outputs)} is not a dictionary of named expressions",
            fix="compile_program(program) compiles a program"
            if is_program
            else 'give each expression a name: compile_sequences({"name": expression})',
        )
    if not outputs:
        raise CompileError("there is nothing to compile", fix="name at least one expression")
    for name, output in outputs.items():
        if not isinstance(output, Expression):
            raise CompileError(
                f"{name!r} is {output!r}, and that is not an expression",
                fix=".count() and .exists() make one of a selection, prompts.constant(x) of a value",
            )


@advised
def compile_sequences(
    outputs: Mapping[str, Expression],
    *,
    architecture: Literal["gpt2", "block"] | Architecture = "block",
    dtype: DTypeName = "float32",
    sizes: Sizes = Sizes(),  # noqa: B008 - frozen
    reuse: bool = True,
    tolerance: float = 0,
) -> CompiledSequences:
    """Compile expressions to a transformer that computes them at every position.

    Args:
        outputs: a name for each expression; all of one `Prompts`.
        architecture: the target; its mask is that of the prompts.
        dtype: of the weights.
        sizes: the width and the number of heads, if they are to be larger than needed.
        reuse: whether dimensions that are no longer read are cleared and reused.
        tolerance: the largest error allowed in a number. Values that the weights do not distinguish
            are refused, unless their error bound is at most this; `.apply` then gives floats.

    Raises:
        HandcraftError: something does not fit; it names the expression, and a fix.

    >>> from handcraft import Prompts, select
    >>> token = Prompts("abc", context=8).token
    >>> model = compile_sequences({"seen": select(token, token).count()})
    >>> model.apply(["abca"])["seen"]
    [(1, 1, 1, 2)]
    """
    _check_outputs(outputs)
    target = architecture_named(architecture) if isinstance(architecture, str) else architecture
    dtype_named(dtype)
    prompts = next(iter(outputs.values())).prompts
    if target.is_rotary:
        raise CompileError(
            f"{target.name} cannot compute values: its norm would scale them",
            where=prompts.place,
            fix="compile for gpt2 or block, or predict tokens by rules",
        )
    for expression in outputs.values():
        check_same(prompts, expression)
    target = replace(target, causal=prompts.causal)
    setting = Setting.of(prompts, Precision(dtype, target.has_norm))

    stages = run_passes([expression.node for expression in outputs.values()], setting)
    nodes = stages[-1].nodes
    features = Features(normed=target.has_norm)
    wanted = [
        Wanted.of(name, expression, node, features)
        for (name, expression), node in zip(outputs.items(), nodes, strict=True)
    ]
    assembly = Assembly(features, prompts.context, Precision(dtype, features.normed))
    assembly.settle()
    assembly.check()
    circuits, places = assemble(
        assembly,
        prompts.vocabulary,
        causal=prompts.causal,
        place=prompts.place,
        outputs=[output.reading for output in wanted],
    )
    if reuse:
        circuits = with_reuse(circuits, places, target, sizes)
    plan = plan_model(circuits, target, sizes)
    sharpness, placement, model = write_weights(plan, dtype)
    error = bound_errors(Finished(plan, placement, model.tensors, places.spans(negative=True), dtype))
    placed = [each.placed(places) for each in wanted]
    found = [replace(each, error_bound=read_error(each.reads, plan, error)) for each in placed]
    for each in found:
        each.check(dtype, tolerance)
    return CompiledSequences(prompts, tuple(found), stages, places, plan, sharpness, placement, model)
