"""Weight components as files: in which component each weight is, and what its absence changes.

For every tensor the files have the indices of the weights that are not 0, counted row by row, the
number of the component that each is in, and the weights themselves. So the masks of all components add
up to 1 at every such weight, and the weights of all components add up to the model, bit for bit. Of a
disguise a weight may be in several components, each of which has a share of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from handcraft.display import count
from handcraft.errors import GroundTruthError
from handcraft.formats.tensors.safetensors_file import safetensors_bytes
from handcraft.ground_truth.causal.mechanisms import Mechanisms
from handcraft.ground_truth.components.ablation import Ablation, Baseline, ablate
from handcraft.ground_truth.components.moved import moved_components
from handcraft.ground_truth.components.partition import Component, Serves, largest_rest, partition
from handcraft.ground_truth.contexts import sample_contexts
from handcraft.ground_truth.disguised import Disguised
from handcraft.ground_truth.json_file import json_bytes
from handcraft.ground_truth.part import Made, Part, Wanted
from handcraft.ground_truth.subject import LaidOut
from handcraft.language.meaning import MeantRule
from handcraft.progress import advance

LIST_FILE = "components.json"
TENSORS_FILE = "components.safetensors"


ABLATED_UP_TO = 1024
"""Of more components the first ones are left out one by one; that takes a run of the model for each."""


def make_components(subject: LaidOut, wanted: Wanted) -> Made:
    """The components of a model, and how its answers change without each."""
    written = () if subject.meaning is None else subject.meaning.rules
    if isinstance(subject, Disguised):
        components = moved_components(subject, partition(subject.original.weights, written))
    else:
        components = partition(subject.weights, written)
    ablations = _ablations(subject, components, wanted)
    rules = [each for each in components if each.serves is Serves.RULE]
    data = {
        "tensors": {name: list(t.shape) for name, t in subject.model.tensors.items()},
        "dtype": subject.model.dtype.name,
        "rest": largest_rest(subject.model, components),
        "components": [
            _component(number, each, ablation, written)
            for number, (each, ablation) in enumerate(zip(components, ablations, strict=True))
        ],
    }
    files = {
        LIST_FILE: json_bytes(data),
        TENSORS_FILE: safetensors_bytes(_tensors(subject, components), {}),
    }
    weights = sum(int(np.count_nonzero(each)) for each in subject.model.tensors.values())
    summary: dict[str, object] = {
        "components": len(components),
        "rules": len(rules),
        "weights": weights,
    }
    found = f"{count(len(components), 'weight component')} of {count(weights, 'weight')}"
    lines = [f"{found}, {len(rules)} of them of one rule"]
    of_rules = [each for each in ablations if each is not None and each.replaced]
    if of_rules:
        replaced = sum(each.replaced or 0 for each in of_rules)
        same = sum(each.as_replaced or 0 for each in of_rules)
        summary |= {"answers_of_another_rule": replaced, "as_that_rule": same}
        lines.append(
            f"without the component of a rule, {same:,} of {replaced:,} of its answers are those of "
            "the next rule"
        )
    return Made(files, summary, tuple(lines))


def _ablations(
    subject: LaidOut, components: Sequence[Component], wanted: Wanted
) -> list[Ablation | None]:
    """What changes without each component; None where that is not tried."""
    if not subject.predicts:
        return [None] * len(components)
    mechanisms: Mechanisms | None = None
    with suppress(GroundTruthError):  # too large, or not known: then it is only counted what changes
        mechanisms = Mechanisms.of_subject(subject)
    contexts = sample_contexts(subject, wanted.examples, wanted.seed).by_length
    baselines = [Baseline.of(subject.model, each, mechanisms) for each in contexts]
    found: list[Ablation | None] = []
    for number, each in enumerate(components):
        advance("leave out components", number, len(components))
        is_tried = number < ABLATED_UP_TO
        found.append(ablate(subject.model, each, baselines, mechanisms) if is_tried else None)
    return found


def _component(
    number: int, component: Component, ablation: Ablation | None, rules: Sequence[MeantRule]
) -> dict[str, object]:
    origins = [
        {"what": origin.what, "place": None if origin.place is None else origin.place.short}
        for origin in component.origins
    ]
    return {
        "component": number,
        "name": component.name,
        "serves": component.serves.value,
        "rules": [rules[rule].number for rule in component.rules],
        "origins": origins,
        "weights": {tensor: len(places) for tensor, places in component.places.items()},
        "without": None if ablation is None else asdict(ablation),
    }


def _tensors(subject: LaidOut, components: Sequence[Component]) -> dict[str, npt.NDArray[np.generic]]:
    """For each tensor the places of its weights, their components, and their values."""
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, tensor in subject.model.tensors.items():
        own = [(i, each.places[name]) for i, each in enumerate(components) if name in each.places]
        if not own:
            continue
        places = np.concatenate([part for _, part in own])
        numbers = np.concatenate([np.full(len(part), i) for i, part in own])
        order = np.argsort(places, kind="stable")
        found[f"{name}.places"] = places[order]
        found[f"{name}.component"] = numbers[order].astype(np.int32)
        shares = np.concatenate([components[i].share(subject.model, name) for i, _ in own])
        found[f"{name}.values"] = shares[order].astype(tensor.dtype)
    return found


PART = Part(
    "components",
    "the weights, divided by the rules and values that they serve",
    (LIST_FILE, TENSORS_FILE),
    make_components,
)
