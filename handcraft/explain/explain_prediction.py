"""Explain one prediction: run a prompt, and say what rules, heads, neurons and sums say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from handcraft.errors import HandcraftError
from handcraft.explain.attribution import attribute, neurons, shares
from handcraft.explain.explanation import Explanation, NamedValue, NeuronUse
from handcraft.explain.head_uses import head_uses
from handcraft.explain.served import Served
from handcraft.explain.stored import Stored
from handcraft.language.judged import Judged, Outcome, State
from handcraft.language.meaning import Meaning
from handcraft.model import AxisNames, Model, Trace, checked_prompt
from handcraft.origin import Origin
from handcraft.subject import Subject
from handcraft.weights import Weights

ANSWERS = 16
"""How many tokens are listed of a vocabulary that is larger: those with the highest logits."""


def explain_prediction(subject: Subject, prompt: str | Sequence[str]) -> Explanation:
    """Why a model answers what it answers on a prompt.

    Args:
        subject: a model, and what is known of it.
        prompt: text or tokens, as many as the model has positions.

    Raises:
        VocabularyError: the prompt has an unknown token.
        ModelError: the prompt is empty, or longer than the model has positions.
    """
    model, weights, circuits = subject.model, subject.weights, subject.circuits
    assert model is not None
    tokens = tuple(map(model.vocabulary.token, checked_prompt(model, prompt, to="explain")))
    notes: list[str] = []
    names = subject.names
    served = Served(weights)
    trace = model.trace(tokens, names)
    judged, why = subject.judged(tokens)
    if why:
        notes.append(f"no rule is judged: {why}")
    elif subject.meaning is not None and len(tokens) > subject.meaning.context:
        notes.append(
            f"the program is written for up to {subject.meaning.context} tokens and this prompt has "
            f"{len(tokens)}: its patterns mean the same here, but no proof is about longer prompts"
        )
    values = () if judged is None else _values(judged)
    by_name = {} if judged is None else dict(judged.by_text)
    by_name |= {value.origin.what: value.values for value in values}
    stored = None
    if circuits is not None and len(tokens) <= circuits.context:
        stored = Stored(circuits, tokens, by_name)
        values = values or tuple(_stored_values(stored, weights))
    if weights is None:
        notes.append(
            "no handcraft.json: names and what weights serve are not known, so this is what the "
            "weights alone say"
        )
    heads = head_uses(
        model, trace, names, stored, served, selects={} if judged is None else judged.selects
    )
    fired = tuple(_fired(model, trace, names, served))
    known = _Answers.of(model, trace, notes) if subject.predicts else None
    attribution = attribute(model, trace, known.ids, names, served) if known else None
    parts = attribution.parts if attribution else ()
    rules = _rules(weights, fired) if judged is None else judged.outcomes
    if any(rule.state == "unknown" for rule in rules):
        notes.append("the folder stores these rules as words, so conditions are not shown")
    return Explanation(
        tokens=tuple(tokens),
        answers=known.tokens if known else (),
        logits=known.logits if known else (),
        answer=known.tokens[known.order[0]] if known else None,
        runner_up=known.tokens[known.order[1]] if known and len(known.order) > 1 else None,
        margin=known.margin if known else None,
        meant=_meant(subject.meaning, judged, tokens, notes),
        rules=rules,
        values=values,
        heads=heads,
        neurons=fired,
        parts=parts,
        shares=shares(parts),
        scale=attribution.scale if attribution else None,
        norm=model.architecture.norm,
        bound=attribution.bound if attribution else (),
        notes=tuple(notes),
        separator=model.vocabulary.separator,
    )


class _Answers:
    """The tokens whose logits are listed, and these."""

    def __init__(self, ids: Sequence[int], tokens: Sequence[str], logits: Sequence[float]) -> None:
        self.ids, self.tokens, self.logits = tuple(ids), tuple(tokens), tuple(logits)
        self.order = sorted(range(len(ids)), key=lambda k: -logits[k])
        top = [logits[k] for k in self.order[:2]]
        self.margin = top[0] - top[1] if len(top) > 1 else None

    @classmethod
    def of(cls, model: Model, trace: Trace, notes: list[str]) -> _Answers:
        """Those of the vocabulary, or the highest of them."""
        numbers, tokens = model.vocabulary.numbers, model.vocabulary.tokens
        logits = trace["logits"][-1].astype(np.float64)
        every = logits[list(numbers)]
        if int(logits.argmax()) not in set(numbers):
            notes.append("an id outside the vocabulary has the highest logit of all")
        kept = range(len(numbers))
        if len(numbers) > ANSWERS:
            notes.append(f"of {len(numbers):,} logits, the JSON lists the {ANSWERS} highest")
            kept = sorted(np.argsort(-every, kind="stable")[:ANSWERS].tolist())  # type: ignore[assignment]
        return cls([numbers[k] for k in kept], [tokens[k] for k in kept], every[list(kept)].tolist())


def _meant(
    meaning: Meaning | None, judged: Judged | None, tokens: Sequence[str], notes: list[str]
) -> str | None:
    """The token that is meant; None where no rule says so, or the prompt is not allowed."""
    if meaning is None or judged is None or not meaning.rules:
        return None
    try:
        meaning.check_promised(tokens)
        return judged.answer
    except HandcraftError as error:
        notes.append(f"the program promises no answer here: {error.what}")
        return None


def _values(judged: Judged) -> tuple[NamedValue, ...]:
    return tuple(
        NamedValue(
            node.origin,
            None if node.text.definition is None else str(node.text.definition),
            values,
        )
        for node, values in judged.values.items()
    )


def _stored_values(stored: Stored, weights: Weights | None) -> Iterator[NamedValue]:
    """The values of circuits whose expressions are not known, as the residual stream stores them."""
    served = {} if weights is None else _origins(weights)
    for name, values in stored.computed().items():
        yield NamedValue(served.get(name, Origin(name)), None, values)


def _origins(weights: Weights) -> dict[str, Origin]:
    """All that weights serve, by its words."""
    return {o.what: o for served in weights.origins.values() for os in served.values() for o in os}


def _rules(weights: Weights | None, fired: Sequence[NeuronUse]) -> tuple[Outcome, ...]:
    """Rules of which only the words are known: a neuron that fires tells of some that they match."""
    if weights is None:
        return ()
    by_text = {origin.what for neuron in fired for origin in neuron.serves}
    origins = _origins(weights)
    matching = [
        number
        for number, text in enumerate(weights.rules, 1)
        if text in by_text or len(weights.rules) == 1
    ]
    states: dict[int, State] = dict.fromkeys(matching, "comes later")
    states |= dict.fromkeys(matching[:1], "fires")
    return tuple(
        Outcome(number, origins.get(text, Origin(text)), None, states.get(number, "unknown"))
        for number, text in enumerate(weights.rules, 1)
    )


def _fired(model: Model, trace: Trace, names: AxisNames | None, served: Served) -> Iterator[NeuronUse]:
    """The neurons whose first hidden unit is past its threshold at the last position."""
    for block in range(model.shape.n_layer):
        name = f"h.{block}.mlp"
        if f"{name}.hidden" not in trace:
            continue
        before, hidden = trace[f"{name}.pre_activation"][-1], trace[f"{name}.hidden"][-1]
        known = () if names is None else names.block(block).units
        if names is not None and not known:
            continue
        count = len(known) if names is not None else len(hidden)
        for called, units in neurons(known, count):
            if before[units[0]] > 0:
                yield NeuronUse(
                    block,
                    tuple(units),
                    called,
                    float(before[units[0]]),
                    tuple(hidden[units].tolist()),
                    served.rows(model.output_matrix(block, "mlp"), units),
                )
