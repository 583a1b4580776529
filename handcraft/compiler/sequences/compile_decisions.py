"""Rules over expressions to circuits: in two ways, of which the smaller is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
from handcraft.errors import CompileError, LayoutError, PrecisionError
from handcraft.language import Program
from handcraft.language.sequences.node import Node
from handcraft.weights import Sizes, plan_model


def compile_decisions(
    program: Program, target: Architecture, dtype: str, sizes: Sizes, *, reuse: bool
) -> tuple[Circuits, tuple[Stage, ...]]:
    """The circuits of a program whose rules speak in expressions, and its trees after each pass.

    The answer of the last rule is spoken by neurons of its own, like all others, or directly by what
    makes it. Of the ways that fit, the one with fewer layers is taken, then the narrower.

    Raises:
        LayoutError, PrecisionError: neither way fits.
    """
    prompts = program.prompts
    assert prompts is not None
    setting = Setting(prompts.context, prompts.causal, Precision(dtype).steps)
    rulings = read_decisions(program.decisions, prompts.vocabulary)
    nodes, stages = run_passes([*nodes_of(rulings), prompts.token.node], setting)
    rulings = with_nodes(rulings, nodes[:-1])
    if are_exact(rulings):
        check_shares(rulings, dtype)

    def speak(direct: bool, asked: Sizes) -> _Way | None:
        return _spoken(program, rulings, nodes[-1], target, dtype, asked, direct, reuse)

    ways, problems = _try_both(speak, sizes)
    if not ways:
        raise _nearest(problems, speak)
    return min(ways, key=lambda way: (way.layers, way.width)).circuits, stages


@dataclass(frozen=True)
class _Way:
    """How the rules of a program can speak.

    Args:
        direct: whether what makes the answer of the last rule writes the logits itself.
        circuits: the circuits.
        layers: of the model that they make.
        width: of its residual stream.
    """

    direct: bool
    circuits: Circuits
    layers: int
    width: int


_Speak: TypeAlias = "Callable[[bool, Sizes], _Way | None]"
"""From whether the last rule speaks directly, and the sizes asked for, to a way, where there is one."""


def _try_both(speak: _Speak, sizes: Sizes) -> tuple[list[_Way], dict[bool, CompileError]]:
    """The ways that there are; and what is wrong with the others, by whether they are direct."""
    ways: list[_Way] = []
    problems: dict[bool, CompileError] = {}
    for direct in (True, False):
        try:
            way = speak(direct, sizes)
        except (LayoutError, PrecisionError) as problem:
            problems[direct] = problem
        else:
            ways += [way] if way else []
    return ways, problems


def _nearest(problems: Mapping[bool, CompileError], speak: _Speak) -> CompileError:
    """What to say where neither way will do.

    More width is asked for more easily than another dtype or program, so that a LayoutError is nearer
    to being mended than a PrecisionError. Of two it is that of the way which can do with less.
    """
    narrow = [way for way in (False, True) if isinstance(problems.get(way), LayoutError)]
    if len(narrow) == 2:
        ways, _ = _try_both(speak, Sizes())
        narrow = [way.direct for way in sorted(ways, key=lambda way: way.width)] or narrow
    return problems[narrow[0] if narrow else False]


def _spoken(
    program: Program,
    rulings: Sequence[Ruling],
    token: Node,
    target: Architecture,
    dtype: str,
    sizes: Sizes,
    direct: bool,
    reuse: bool,
) -> _Way | None:
    """One of the two ways; None where what makes the answer of the last rule cannot speak itself.

    Raises:
        LayoutError: the sizes asked for are too small, or neurons that do not fit a layer cannot take
            turns.
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
    if direct and not _speaks_last(circuits, has_norm=holder.normed):
        return None
    plan = plan_model(circuits, target, sizes)
    width = plan.layout.n_embd
    if direct and plan.has_norm and 2 * len(circuits.blocks[-1].neurons) > 4 * width:
        return None  # those that take their turn later would read what others have said
    return _Way(direct, circuits, len(plan.layers), width)


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
