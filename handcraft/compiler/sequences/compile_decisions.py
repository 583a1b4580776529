"""Rules over expressions to circuits: in two ways, of which the smaller is taken."""

from __future__ import annotations

from collections.abc import Sequence

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.circuits.lifetimes import (
    read_by_heads,
    read_by_neurons,
    written_by_heads,
    written_by_neurons,
)
from handcraft.compiler.sequences.assemble import assemble
from handcraft.compiler.sequences.assembly import Assembly
from handcraft.compiler.sequences.cases import Setting
from handcraft.compiler.sequences.compile_sequences import run_passes, with_reuse
from handcraft.compiler.sequences.decisions import (
    Ruling,
    are_exact,
    check_shares,
    nodes_of,
    read_decisions,
    speak_directly,
    speakers,
    with_nodes,
    with_rest,
)
from handcraft.compiler.sequences.held import Holder
from handcraft.compiler.sequences.precision import Precision
from handcraft.compiler.stage import Stage
from handcraft.errors import PrecisionError
from handcraft.language import Program
from handcraft.language.sequences.node import Node
from handcraft.weights import Plan, Sizes, plan_model


def compile_decisions(
    program: Program, target: Architecture, dtype: str, sizes: Sizes, *, reuse: bool
) -> tuple[Circuits, tuple[Stage, ...]]:
    """The circuits of a program whose rules speak in expressions, and its trees after each pass."""
    prompts = program.prompts
    assert prompts is not None
    setting = Setting(prompts.context, prompts.causal, Precision(dtype).steps)
    rulings = read_decisions(program.decisions, prompts.vocabulary)
    nodes, stages = run_passes([*nodes_of(rulings), prompts.token.node], setting)
    rulings = with_nodes(rulings, nodes[:-1])
    if are_exact(rulings):
        check_shares(rulings, dtype)
    ways: list[tuple[tuple[int, int], Circuits]] = []
    for direct in (True, False):
        try:
            way = _spoken(program, rulings, nodes[-1], target, dtype, sizes, direct, reuse)
        except PrecisionError:
            if not direct and not ways:
                raise
        else:
            ways += [way] if way else []
    return min(ways, key=lambda way: way[0])[1], stages


def _spoken(
    program: Program,
    rulings: Sequence[Ruling],
    token: Node,
    target: Architecture,
    dtype: str,
    sizes: Sizes,
    direct: bool,
    reuse: bool,
) -> tuple[tuple[int, int], Circuits] | None:
    """The circuits of rules, and their size: layers, then width.

    Where `direct`, what makes the answer of the last rule writes the logits itself; None is given back
    where that cannot be.

    Raises:
        PrecisionError: the dtype does not tell apart what has to be.
    """
    prompts = program.prompts
    assert prompts is not None
    holder = Holder(one_hot=("token",), normed=target.norm == "layer")
    holder.hold(token)
    if direct and not speak_directly(rulings, holder, prompts.vocabulary):
        return None
    spoken = speakers(rulings, holder, prompts.vocabulary, token, direct=direct)
    spoken, nats = with_rest(spoken) if are_exact(rulings) else (spoken, None)
    assembly = Assembly(holder, prompts.context, Precision(dtype, holder.normed))
    assembly.settle()
    circuits, places = assemble(
        assembly,
        prompts.vocabulary,
        causal=prompts.causal,
        place=program.place,
        speakers=spoken,
        nats=nats,
    )
    if reuse:
        circuits = with_reuse(circuits, places, target, sizes)
    plan = plan_model(circuits, target, sizes)
    if direct and not _speaks_last(circuits, plan):
        return None
    return (len(plan.layers), plan.layout.n_embd), circuits


def _speaks_last(circuits: Circuits, plan: Plan) -> bool:
    """Whether nobody reads what is no longer there once something was written into the logits.

    The token itself is read from the subspace of the logits. Behind LayerNorm everything would be read
    on another scale.
    """
    logits = circuits.unembedding
    assert logits is not None
    has_spoken = False
    for block in circuits.blocks:
        heads, neurons = set(read_by_heads(block)), set(read_by_neurons(block))
        if has_spoken and (logits in heads or (plan.has_norm and (heads or neurons))):
            return False
        has_spoken = has_spoken or logits in written_by_heads(block)
        if has_spoken and (logits in neurons or (plan.has_norm and neurons)):
            return False
        has_spoken = has_spoken or logits in written_by_neurons(block)
    return not plan.has_norm or 2 * len(circuits.blocks[-1].neurons) <= 4 * plan.layout.n_embd
