"""Expressions to a transformer, on one screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from handcraft.architecture import Architecture, architecture_named
from handcraft.circuits import Circuits
from handcraft.compiler.advice import advised
from handcraft.compiler.estimate import check_plan
from handcraft.compiler.reuse import reuse_dimensions
from handcraft.compiler.sequences.assemble import assemble
from handcraft.compiler.sequences.assembly import Assembly
from handcraft.compiler.sequences.cases import Setting
from handcraft.compiler.sequences.compiled_sequences import CompiledSequences
from handcraft.compiler.sequences.error_bound import Finished, bound_errors, read_off
from handcraft.compiler.sequences.fuse import fuse
from handcraft.compiler.sequences.held import Holder
from handcraft.compiler.sequences.ir import note_slots
from handcraft.compiler.sequences.lower_aggregates import lower_aggregates
from handcraft.compiler.sequences.output import Wanted
from handcraft.compiler.sequences.places import Places
from handcraft.compiler.sequences.precision import Precision
from handcraft.compiler.sequences.rebuild import rebuild
from handcraft.compiler.stage import Stage
from handcraft.display import shorten_value
from handcraft.dtype import DTypeName, dtype_named
from handcraft.errors import CompileError, LayoutError
from handcraft.language import Program
from handcraft.language.graph.node import Aggregate, Node, is_token, walk
from handcraft.language.sequences.expression import Expression, check_same
from handcraft.limits import DEPTH
from handcraft.model import Model
from handcraft.weights import (
    Sizes,
    SpreadError,
    check_sharpness,
    emit,
    place_circuits,
    plan_model,
    sharpness_for,
)

Pass = Callable[[Sequence[Node], Setting], list[Node]]

BEFORE_TABLES: Mapping[str, Pass] = {
    "fold and share": lambda nodes, _: rebuild(nodes),
    "lower aggregates": lower_aggregates,
}
"""The first passes over trees, in order. Each keeps every value at every position."""

TABLES: Mapping[str, Pass] = {"fuse tables": fuse}
"""The passes after which nothing is left but what becomes heads and neurons."""

PASSES = {**BEFORE_TABLES, **TABLES}
"""All passes over trees, in order."""

AS_WRITTEN = "as written"
"""The stage before all passes."""


def with_reuse(circuits: Circuits, places: Places, target: Architecture, sizes: Sizes) -> Circuits:
    """The circuits with dead dimensions reused, where the numbers in them can be cleared exactly."""
    assembly = places.assembly
    if not assembly.bears_clearing:
        return circuits
    spans = places.spans(negative=assembly.precision.is_wide)
    reused = reuse_dimensions(circuits, spans, target, sizes)
    try:
        plan_model(reused, target, sizes)
    except SpreadError:  # neurons that take turns cannot clear what others of them still read
        return circuits
    except LayoutError:  # too narrow in any case; where nothing is asked for it is seen by how much
        return with_reuse(circuits, places, target, Sizes())
    return reused


def run_passes(
    nodes: list[Node], setting: Setting, passes: Mapping[str, Pass] = PASSES
) -> tuple[Stage, ...]:
    """The trees as they are and after each pass.

    Raises:
        LimitError: heads read from heads in more blocks than are made.
    """
    _check_written_depth(nodes)
    stages = tuple(each_stage(nodes, setting, passes))
    _check_depth(stages[-1].nodes)
    return stages


def each_stage(
    nodes: list[Node], setting: Setting, passes: Mapping[str, Pass] = PASSES
) -> Iterator[Stage]:
    """The trees as they are and after each pass; a pass runs when its stage is asked for."""
    yield Stage(AS_WRITTEN, tuple(nodes))
    for name, run in passes.items():
        nodes = run(nodes, setting)
        yield Stage(name, tuple(nodes))


def _check_written_depth(nodes: Sequence[Node]) -> None:
    """Raise before any pass where twice as many blocks are written as are made.

    Passes make a chain shorter only where links of it change nothing; those that depend on the position
    alone may become tables, and do not count here.

    Raises:
        LimitError: how many blocks the deepest expression takes, one for each time it looks elsewhere.
    """
    chains: dict[Node, int] = {}
    reads_token: dict[Node, bool] = {}
    for node in walk(*nodes):
        reads_token[node] = is_token(node) or any(reads_token[child] for child in node.children)
        before = max((chains[child] for child in node.children), default=0)
        chains[node] = before + (isinstance(node, Aggregate) and reads_token[node])
    deepest = max(nodes, key=chains.__getitem__)
    if chains[deepest] > 2 * DEPTH.most:
        _check_blocks(deepest, chains[deepest])


def _check_depth(nodes: Sequence[Node]) -> None:
    """Raise where heads read from heads in more blocks than are made.

    Raises:
        LimitError: how many it would take, for the deepest expression.
    """
    slots: dict[Node, int] = {}
    deepest = max(nodes, key=lambda node: note_slots(node, slots))
    _check_blocks(deepest, (slots[deepest] + 1) // 2)


def _check_blocks(deepest: Node, blocks: int) -> None:
    DEPTH.check(
        blocks,
        where=f"{deepest.place}, {deepest}" if deepest.place else deepest,
        fix="look back several positions at once, as .at(-3) does, and not one after the other",
    )


def _check_outputs(outputs: object) -> None:
    """Raise unless they are expressions with names, at least one."""
    if not isinstance(outputs, Mapping):
        is_program = isinstance(outputs, Program)
        raise CompileError(
            f"{shorten_value(outputs)} is no table of names and expressions",
            fix="compile_program(program) compiles a program"
            if is_program
            else 'give each expression a name: compile_sequences({"name": expression})',
        )
    if not outputs:
        raise CompileError("there is nothing to compile", fix="name at least one expression")
    for name, output in outputs.items():
        if not isinstance(output, Expression):
            raise CompileError(
                f"{name!r} is {output!r}, and that is no expression",
                fix=".count() and .exists() make one of a selection, prompts.constant(x) of a value",
            )


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
        sizes: the width and the heads, where they are to be larger than needed.
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
    options = {
        "architecture": architecture,
        "dtype": dtype,
        "sizes": sizes,
        "reuse": reuse,
        "tolerance": tolerance,
    }
    with advised(_compile, outputs, options):
        return _compile(outputs, **options)  # type: ignore[arg-type]


def _compile(
    outputs: Mapping[str, Expression],
    *,
    architecture: str | Architecture,
    dtype: str,
    sizes: Sizes,
    reuse: bool,
    tolerance: float,
) -> CompiledSequences:
    """What `compile_sequences` does, pass by pass; a refusal advises nothing."""
    target = architecture_named(architecture) if isinstance(architecture, str) else architecture
    dtype_named(dtype)
    prompts = next(iter(outputs.values())).prompts
    for expression in outputs.values():
        check_same(prompts, expression)
    target = replace(target, causal=prompts.causal)
    setting = Setting(prompts.context, prompts.causal, Precision(dtype).steps)

    stages = run_passes([expression.node for expression in outputs.values()], setting)
    nodes = stages[-1].nodes
    holder = Holder(normed=target.has_norm)
    wanted = [
        Wanted.of(name, expression, node, holder)
        for (name, expression), node in zip(outputs.items(), nodes, strict=True)
    ]
    assembly = Assembly(holder, prompts.context, Precision(dtype, holder.normed))
    assembly.settle()
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
    check_plan(plan, dtype)
    check_sharpness(plan, dtype)
    sharpness = sharpness_for(plan, dtype)
    placement = place_circuits(plan, sharpness)
    tensors = emit(placement, circuits.values, dtype)
    model = Model(target, plan.shape, prompts.vocabulary, tensors)
    off = bound_errors(Finished(plan, placement, tensors, places.spans(negative=True), dtype))
    placed = [each.placed(places) for each in wanted]
    found = [replace(each, off=read_off(each.reads, plan, off)) for each in placed]
    for each in found:
        each.check(dtype, tolerance)
    return CompiledSequences(prompts, tuple(found), stages, places, plan, sharpness, placement, model)
