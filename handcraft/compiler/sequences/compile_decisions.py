"""Rules over expressions to circuits: in three ways, of which the smallest is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.circuits.lifetimes import (
    read_by_heads,
    read_by_neurons,
    written_by_heads,
    written_by_neurons,
)
from handcraft.compiler.search import Way, plan_in_one_layer
from handcraft.compiler.sequences.assemble import assemble
from handcraft.compiler.sequences.assembly import Assembly
from handcraft.compiler.sequences.cases import Setting
from handcraft.compiler.sequences.compile_sequences import run_passes, with_reuse
from handcraft.compiler.sequences.decisions import (
    SMALL_UNIT,
    UNIT,
    Ruling,
    are_exact,
    check_shares,
    nodes_of,
    ranks,
    read_decisions,
    speak_directly,
    speakers,
    with_nodes,
    with_rest,
)
from handcraft.compiler.sequences.held import Holder
from handcraft.compiler.sequences.precision import Precision
from handcraft.compiler.stage import Stage
from handcraft.language import Program
from handcraft.language.graph.node import Node
from handcraft.weights import Plan, Sizes, SpreadError, plan_model


def decision_ways(
    program: Program, target: Architecture, dtype: str, *, reuse: bool
) -> tuple[tuple[Way, ...], tuple[Stage, ...]]:
    """Three ways to plan the rules of a program, and its trees after each pass.

    Neurons write the logits for every rule; or what makes the answer of the last rule writes them
    itself; or, where the neurons are too many for one layer behind LayerNorm, those of several layers
    write into a subspace of its own.
    """
    ruled = _Ruled.of(program, target, dtype, reuse=reuse)

    @cache
    def made(way: str, asked: Sizes) -> Circuits | None:
        return ruled.circuits(asked, direct=way == "direct", apart=way == "apart")

    def direct(asked: Sizes) -> Plan | None:
        circuits = made("direct", asked)
        if circuits is None or not _speaks_last(circuits, has_norm=ruled.has_norm):
            return None
        plan = plan_in_one_layer(circuits, target, asked)
        if plan.has_norm and 2 * len(circuits.blocks[-1].neurons) > 4 * plan.layout.n_embd:
            return None  # those in later layers would read what others have written
        return plan

    def by_neurons(asked: Sizes) -> Plan | None:
        circuits = made("neurons", asked)
        return plan_in_one_layer(circuits, target, asked) if circuits else None

    def apart(asked: Sizes) -> Plan | None:
        together = made("neurons", asked)
        if not ruled.has_norm or together is None or _fits_one_layer(together, target, asked):
            return None
        circuits = made("apart", asked)
        return plan_model(circuits, target, asked) if circuits else None

    return (by_neurons, direct, apart), ruled.stages


def _fits_one_layer(circuits: Circuits, target: Architecture, sizes: Sizes) -> bool:
    """Whether the neurons of every block fit one layer of the width that everything else takes."""
    try:
        plan_model(circuits, target, sizes)
    except SpreadError:
        return False
    return True


@dataclass(frozen=True)
class _Ruled:
    """The rules of a program after all passes.

    Args:
        program: the program.
        target: the architecture.
        dtype: of the weights.
        reuse: whether dimensions that are read no more are used again.
        rulings: the rules.
        token: the token as a node.
        stages: the trees after each pass.
    """

    program: Program
    target: Architecture
    dtype: str
    reuse: bool
    rulings: Sequence[Ruling]
    token: Node
    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, program: Program, target: Architecture, dtype: str, *, reuse: bool) -> _Ruled:
        """Read the rules of a program, and run the passes."""
        prompts = program.prompts
        setting = Setting(prompts.context, prompts.causal, Precision(dtype).steps)
        rulings = read_decisions(program.decisions, prompts.vocabulary)
        nodes, stages = run_passes([*nodes_of(rulings), prompts.token.node], setting)
        rulings = with_nodes(rulings, nodes[:-1])
        if are_exact(rulings):
            check_shares(rulings, dtype)
        return cls(program, target, dtype, reuse, rulings, nodes[-1], stages)

    @property
    def has_norm(self) -> bool:
        """Whether LayerNorm sees what is stored."""
        return self.target.has_norm

    def circuits(self, sizes: Sizes, *, direct: bool, apart: bool) -> Circuits | None:
        """The circuits of one way; None where what makes the last answer cannot write logits.

        Args:
            sizes: what is asked of the width.
            direct: whether it is to.
            apart: whether logits have a subspace of their own.

        Raises:
            PrecisionError: the dtype does not distinguish what it must.
        """
        prompts = self.program.prompts
        unit = SMALL_UNIT if apart else UNIT
        holder = Holder(one_hot=() if apart else ("token",), normed=self.has_norm)
        holder.hold(self.token)
        ranked = ranks(self.rulings, apart=apart)
        rules = self.rulings, ranked, holder, prompts.vocabulary
        if direct and not speak_directly(*rules, unit):
            return None
        spoken = speakers(*rules, self.token, direct=direct, unit=unit)
        spoken, logit_scale = with_rest(spoken) if are_exact(self.rulings) else (spoken, None)
        assembly = Assembly(holder, prompts.context, Precision(self.dtype, holder.normed))
        assembly.settle()
        squares = 2 * unit**2 * max(each.squares for each in ranked) if apart else 0
        varying = assembly.varying + squares
        if self.program.has_only_patterns:  # there are other ways, so this one must surely hold
            assembly.precision.check_scale(varying, self.program.place)
        for speaker in spoken:
            speaker.check(assembly.precision, varying)
        circuits, places = assemble(
            assembly,
            prompts.vocabulary,
            causal=prompts.causal,
            place=self.program.place,
            speakers=spoken,
            logit_scale=logit_scale,
            logits_apart=apart,
        )
        return with_reuse(circuits, places, self.target, sizes) if self.reuse else circuits


def _speaks_last(circuits: Circuits, *, has_norm: bool) -> bool:
    """Whether nobody reads what is no longer there once something was written into the logits.

    The token itself is read from the subspace of the logits. Behind LayerNorm everything would be read
    on another scale.
    """
    logits = circuits.unembedding
    assert logits is not None
    has_spoken = False
    for block in circuits.blocks:
        heads, neurons = set(read_by_heads(block)), set(read_by_neurons(block))
        if has_spoken and (logits in heads or (has_norm and (heads or neurons))):
            return False
        has_spoken = has_spoken or logits in written_by_heads(block)
        if has_spoken and (logits in neurons or (has_norm and neurons)):
            return False
        has_spoken = has_spoken or logits in written_by_neurons(block)
    return True
