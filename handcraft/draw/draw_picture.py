"""The picture of a subject: of its program, its circuit, its weights or one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from handcraft.draw.canvas.scene import Picture
from handcraft.draw.graphs.label import visible
from handcraft.draw.kinds.circuit import DETAILS, Detail, circuit_picture
from handcraft.draw.kinds.positions import positions_picture
from handcraft.draw.kinds.program import meaning_picture
from handcraft.draw.kinds.run import Meant, run_picture
from handcraft.draw.kinds.stream import attention_picture, stream_picture
from handcraft.draw.kinds.weights import weights_picture
from handcraft.errors import DrawError
from handcraft.language.graph.domain import Value
from handcraft.model import Model, Trace
from handcraft.subject import Subject

What = Literal["program", "circuit", "run", "attention", "weights", "stream", "positions"]

WHATS: tuple[What, ...] = get_args(What)

OF_A_RUN: tuple[What, ...] = ("run", "attention", "stream")
"""The kinds that need a prompt."""


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
        if subject.meaning is not None:
            kind = "program" if subject.meaning.rules else "expressions"
            return meaning_picture(
                subject.meaning,
                rule=rule,
                title=f"{name}: {kind}",
                is_expanded=detail == "weights",
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
            None if subject.weights is None else subject.weights.origins,
            tensor=tensor,
            rule=rule,
            rules=subject.rules,
            title=f"{name}: weights",
        )
    if what == "positions":
        return positions_picture(
            model,
            subject.names,
            context=None if subject.meaning is None else subject.meaning.context,
            title=f"{name}: position embedding",
        )
    if prompt is None:
        raise DrawError(f"a picture of {what} needs a prompt", where=name, fix=_prompt(model))
    trace = model.trace(prompt, subject.names, subject.stored)
    return draw_trace(trace, what, name=name, meant=_meant(subject, trace) if what == "run" else ())


def _meant(subject: Subject, trace: Trace) -> Meant:
    """The values of the program on the tokens of a run; none where they are not known."""
    judged, _ = subject.judged(trace.text)
    if judged is None or subject.meaning is None:
        return ()
    name_of = {node: name for name, node in subject.meaning.outputs.items()}
    return [
        (name_of.get(node, str(node)), [*[""] * trace.lead, *map(_shown, values)])
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
    between = "" if all(len(token) == 1 for token in trace.text) else " "
    text = between.join(map(visible, trace.text))
    title = f"{name}: {what} on {text}" if name else f"{what} on {text}"
    if what == "run":
        return run_picture(trace, meant=meant, title=title)
    if what == "attention":
        return attention_picture(trace, title=title)
    return stream_picture(trace, title=title)


def _others(subject: Subject) -> str:
    """The kinds that can be drawn instead."""
    has = {"program": subject.meaning is not None, "circuit": subject.circuits is not None}
    known = [what for what in WHATS if has.get(what, True)]
    return f"draw one of: {', '.join(known)}"


def _prompt(model: Model) -> str:
    """A prompt to try."""
    return f"give one, as in prompt={model.vocabulary.tokens[0]!r}"
