"""What there is to draw, and the picture of one kind of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from handcraft.circuits import Circuits
from handcraft.draw.canvas.scene import Picture
from handcraft.draw.graphs.label import visible
from handcraft.draw.kinds.circuit import DETAILS, Detail, circuit_picture
from handcraft.draw.kinds.positions import positions_picture
from handcraft.draw.kinds.program import expressions_picture, program_picture
from handcraft.draw.kinds.run import Meant, run_picture
from handcraft.draw.kinds.stream import attention_picture, stream_picture
from handcraft.draw.kinds.weights import Origins, weights_picture
from handcraft.errors import AssumptionError, DrawError
from handcraft.language import Program
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Node
from handcraft.language.judged import judge, judge_values
from handcraft.model import AxisNames, Model, Stored, Trace

What = Literal["program", "circuit", "run", "attention", "weights", "stream", "positions"]

WHATS: tuple[What, ...] = get_args(What)

OF_A_RUN: tuple[What, ...] = ("run", "attention", "stream")
"""The kinds that need a prompt."""


@dataclass(frozen=True)
class Subject:
    """A program, a model, or both; what is not known is None.

    Args:
        name: what it is called in titles.
        program: the rules.
        outputs: of a model of values the expressions.
        circuits: heads and neurons.
        model: the weights.
        names: what rows and columns of weights stand for.
        origins: what weights serve.
        stored: the values of the residual stream.
    """

    name: str
    program: Program | None = None
    outputs: Mapping[str, Node] = field(default_factory=dict)
    circuits: Circuits | None = None
    model: Model | None = None
    names: AxisNames | None = None
    origins: Origins | None = None
    stored: tuple[Stored, ...] = ()


def draw_picture(
    subject: Subject,
    what: What,
    *,
    prompt: str | Sequence[str] | None = None,
    rule: str | None = None,
    tensor: str | None = None,
    detail: Detail = "circuit",
) -> Picture:
    """One picture.

    Args:
        subject: of what.
        what: the kind of picture.
        prompt: for a run, attention patterns or the residual stream.
        rule: for the program, the circuit or weights: only what serves this one, by its text.
        tensor: for weights: only this one.
        detail: of a circuit, as in `circuit_picture`; of a program, ``weights`` gives every rule and
            every value a box.

    Raises:
        DrawError: there is no such kind, it is not known of this subject, or it needs a prompt.
        VocabularyError: the prompt has an unknown token.
    """
    if what not in WHATS:
        raise DrawError(f"there is no picture {what!r}", fix=f"use one of: {', '.join(WHATS)}")
    name = subject.name
    if detail not in DETAILS:
        raise DrawError(f"there is no detail {detail!r}", fix=f"use one of: {', '.join(DETAILS)}")
    if what == "program":
        is_expanded = detail == "weights"
        if subject.program is not None:
            return program_picture(
                subject.program, rule=rule, title=f"{name}: program", is_expanded=is_expanded
            )
        if subject.outputs:
            prompts = subject.circuits
            assert prompts is not None
            tokens, context = prompts.vocabulary.tokens, prompts.context
            title = f"{name}: expressions"
            return expressions_picture(
                subject.outputs, tokens, context, title=title, is_expanded=is_expanded
            )
        raise DrawError(f"the rules of {name} are not known", where=name, fix=_others(subject))
    if what == "circuit":
        if subject.circuits is None:
            raise DrawError(f"the circuits of {name} are not known", where=name, fix=_others(subject))
        return circuit_picture(subject.circuits, detail=detail, rule=rule, title=f"{name}: circuit")
    model = subject.model
    assert model is not None
    if what == "weights":
        return weights_picture(
            model,
            subject.names,
            subject.origins,
            tensor=tensor,
            rule=rule,
            rules=[] if subject.program is None else list(map(str, subject.program.rules)),
            title=f"{name}: weights",
        )
    if what == "positions":
        return positions_picture(
            model,
            subject.names,
            context=None if subject.program is None else subject.program.context,
            title=f"{name}: position embedding",
        )
    if prompt is None:
        raise DrawError(f"a picture of {what} needs a prompt", where=name, fix=_prompt(model))
    trace = model.trace(prompt, subject.names, subject.stored)
    return draw_trace(trace, what, name=name, meant=_meant(subject, trace) if what == "run" else ())


def _meant(subject: Subject, trace: Trace) -> Meant:
    """The values of the program on the tokens of a run; none where they are not known."""
    try:
        program = subject.program
        if program is not None:
            if program.has_only_patterns and len(trace.tokens) > program.context:
                program = program.widened(len(trace.tokens))  # patterns mean the same there
            judged = judge(program.decisions, trace.tokens, causal=program.prompts.causal)
        elif subject.outputs and subject.circuits is not None:
            nodes, causal = list(subject.outputs.values()), subject.circuits.causal
            judged = judge_values(nodes, trace.tokens, causal=causal)
        else:
            return ()
    except AssumptionError:  # a prompt that the program promises nothing about
        return ()
    name_of = {node: name for name, node in subject.outputs.items()}
    return [
        (name_of.get(node, str(node)), list(map(_shown, values)))
        for node, values in judged.values.items()
        if node in name_of or node.text.definition is not None
    ]


def _shown(value: Value) -> str:
    """A value of a program in few characters."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(str(value))


def draw_trace(trace: Trace, what: str, *, name: str = "", meant: Meant = ()) -> Picture:
    """A picture of one run.

    Args:
        trace: the run.
        what: ``run``, ``attention`` or ``stream``.
        name: of the model, for the title.
        meant: for ``run``, the values of the program.

    Raises:
        DrawError: there is no such picture of a run.
    """
    if what not in OF_A_RUN:
        fix = f"use one of: {', '.join(OF_A_RUN)}"
        raise DrawError(f"there is no picture {what!r} of a run", fix=fix)
    between = "" if all(len(token) == 1 for token in trace.tokens) else " "
    text = between.join(map(visible, trace.tokens))
    title = f"{name}: {what} on {text}" if name else f"{what} on {text}"
    if what == "run":
        return run_picture(trace, meant=meant, title=title)
    if what == "attention":
        return attention_picture(trace, title=title)
    return stream_picture(trace, title=title)


def _others(subject: Subject) -> str:
    """The kinds that can be drawn instead."""
    known = [what for what in WHATS if what != "program"]
    if subject.circuits is None:
        known.remove("circuit")
    return f"draw one of: {', '.join(known)}"


def _prompt(model: Model) -> str:
    """A prompt to try."""
    return f"give one, as in prompt={model.vocabulary.tokens[0]!r}"
