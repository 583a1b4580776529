"""Features as files: for each state of the residual stream a folder of SAELens, and activations.

The activations of the compiled model on prompts, times the features, plus the constant, are its
residual stream up to an error within a stated bound. The error comes from rounding and from LayerNorm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log2

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Subspace
from handcraft.display import count
from handcraft.errors import GroundTruthError
from handcraft.formats.tensors.safetensors_file import safetensors_bytes
from handcraft.ground_truth.contexts import drawn_texts, sample_contexts
from handcraft.ground_truth.disguised import Disguised
from handcraft.ground_truth.features.beside import BESIDE, numbers_beside, with_beside
from handcraft.ground_truth.features.feature import Array, Dictionary, Feature, dictionary
from handcraft.ground_truth.features.saelens import saelens_folder
from handcraft.ground_truth.json_file import json_bytes
from handcraft.ground_truth.part import Made, Part, Wanted
from handcraft.ground_truth.stream.featurizer import stream_states
from handcraft.ground_truth.stream.hook_point import HookPoint, model_state
from handcraft.ground_truth.stream.ideal_states import IdealStates, ideal_states
from handcraft.ground_truth.subject import LaidOut
from handcraft.language.graph.domain import json_value
from handcraft.weights import written_at

FOLDER = "features"
LIST_FILE = "features.json"
ACTIVATIONS_FILE = "activations.safetensors"

NUMBERS_UP_TO = 1 << 20
"""About how many activations are written."""

SPARE = 8
"""The bound is this times the largest difference in the sample; tests try other prompts."""

LEAST = 2.0**-16
"""No bound is smaller, also where the sample shows no difference."""


@dataclass(frozen=True, eq=False)
class State:
    """The features of one state of the residual stream.

    Args:
        done: the state, as `Model.resume` counts.
        found: its features.
        activations: of the sample: [text, position, feature] for each length of text.
        error: the largest difference of a number of the stream from what they add up to.
    """

    done: int
    found: Dictionary
    activations: Sequence[Array] = field(repr=False)
    error: float

    @property
    def bound(self) -> float:
        """How far a number of the stream may be from what the features add up to: a power of two."""
        return float(2.0 ** ceil(log2(max(SPARE * self.error, LEAST))))

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """At which share of all positions each feature is active: [feature]."""
        flat = [each.reshape(-1, each.shape[-1]) for each in self.activations]
        return np.asarray((np.concatenate(flat) > 0).mean(axis=0))


def states_with_features(subject: LaidOut, texts: Sequence[npt.NDArray[np.int64]]) -> list[State]:
    """The features of the embedding and of the output of each block.

    Args:
        subject: the model.
        texts: the sample, places in the vocabulary: [text, position] for each length.
    """
    ideal = [ideal_states(subject.circuits, each) for each in texts]
    streams = [stream_states(subject.model, each) for each in texts]
    write = _Directions(subject)
    base = _base(write, ideal[0], streams[0][0])
    written, cleared = written_at(subject.circuits)
    found = []
    for state in range(0, 2 * len(subject.circuits.blocks) + 1, 2):
        done = model_state(subject, state)
        numbers = [each.of_state(state) for each in ideal]
        so_far = {
            subspace: frozenset(at for at in each if at <= state)
            for subspace, each in written.items()
            if cleared.get(subspace, state + 1) > state
        }
        features = dictionary(_joined(numbers), write, base, so_far)
        if not features.features:
            continue
        here = [each[done] for each in streams]
        activations = [features.activations(each) for each in numbers]
        if isinstance(subject, Disguised):
            beside = numbers_beside(features, activations, here)
            features = with_beside(features, beside, here)
            known = [{**each, BESIDE: mean} for each, mean in zip(numbers, beside, strict=True)]
            activations = [features.activations(each) for each in known]
        pairs = zip(activations, here, strict=True)
        errors = [np.abs(features.stream(acts) - each).max() for acts, each in pairs]
        found.append(State(done, features, activations, float(max(errors))))
    return found


class _Directions:
    """The directions of the coordinates of subspaces, each made once."""

    def __init__(self, subject: LaidOut) -> None:
        self.subject = subject
        self._known: dict[Subspace, Array] = {}

    def __call__(self, subspace: Subspace) -> Array:
        if subspace not in self._known:
            self._known[subspace] = self.subject.featurizer((subspace,)).write
        return self._known[subspace]


def _base(
    write: _Directions, ideal: IdealStates, embedded: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """What the stream is where every subspace stores 0: what flags are at rest, ballast and fill."""
    stored = ideal.of_state(0)
    first = sum(numbers[0, 0] @ write(subspace).T for subspace, numbers in stored.items())
    return np.asarray(embedded[0, 0].astype(np.float64) - first)


def _joined(numbers: Sequence[Mapping[Subspace, Array]]) -> dict[Subspace, Array]:
    """What is stored in all texts, as one row of positions: [1, position, width]."""
    return {
        subspace: np.concatenate([each[subspace].reshape(1, -1, subspace.width) for each in numbers], 1)
        for subspace in numbers[0]
    }


def make_features(subject: LaidOut, wanted: Wanted) -> Made:
    """The features of every state, and how active they are on prompts."""
    if subject.predicts:
        sampled = sample_contexts(subject, wanted.examples, wanted.seed).by_length
        texts = [each.texts for each in sampled]
    else:
        texts = drawn_texts(subject, wanted.examples, wanted.seed)
    states = states_with_features(subject, [each for each in texts if each.size])
    if not states:
        raise GroundTruthError(
            f"the residual stream of {subject.name} stores nothing that differs between prompts",
            fix="allow more prompts, or ask for other parts",
        )
    rotary = subject.model.architecture.is_rotary
    files: dict[str, bytes] = {}
    for state in states:
        folder = f"{FOLDER}/{HookPoint.of(state.done, rotary=rotary).trace}"
        for name, contents in saelens_folder(state.found, state.shares).items():
            files[f"{folder}/{name}"] = contents
    files[f"{FOLDER}/{LIST_FILE}"] = json_bytes(
        {"states": [_state(state, rotary=rotary) for state in states]}
    )
    files[f"{FOLDER}/{ACTIVATIONS_FILE}"] = _activations(subject, states, texts)
    total = sum(len(state.found.features) for state in states)
    bound = max(state.bound for state in states)
    summary = {"states": len(states), "features": total, "bound": bound}
    line = f"{count(total, 'feature')} in {count(len(states), 'state')} of the residual stream"
    return Made(files, summary, (line,))


def _state(state: State, *, rotary: bool) -> dict[str, object]:
    hook = HookPoint.of(state.done, rotary=rotary)
    return {
        "folder": hook.trace,
        "state": state.done,
        "hook": hook.data(),
        "bound": state.bound,
        "features": [_feature(each) for each in state.found.features],
    }


def _feature(feature: Feature) -> dict[str, object]:
    if feature.value is not None:
        return {"name": feature.name, "of": feature.of.name, "value": json_value(feature.value)}
    return {
        "name": feature.name,
        "of": feature.of.name,
        "low": feature.low,
        "unit": feature.unit,
    }


def _activations(
    subject: LaidOut, states: Sequence[State], texts: Sequence[npt.NDArray[np.int64]]
) -> bytes:
    """Prompts of one length, the most frequent one, and how active every feature is on them."""
    which = max(range(len(texts)), key=lambda i: texts[i].size)
    ids = np.array(subject.model.vocabulary.numbers, dtype=np.int64)[texts[which]]
    each = ids.shape[1] * sum(len(state.found.features) for state in states)
    rows = max(1, min(len(ids), NUMBERS_UP_TO // each))
    arrays: dict[str, npt.NDArray[np.generic]] = {"tokens": ids[:rows]}
    for state in states:
        arrays[HookPoint.of(state.done, rotary=subject.model.architecture.is_rotary).trace] = (
            state.activations[which][:rows].astype(np.float32)
        )
    return safetensors_bytes(arrays, {})


PART = Part(
    "features",
    "features of every layer, and their activations",
    (FOLDER,),
    make_features,
)
