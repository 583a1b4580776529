"""Where a disguise stores every value of its original: what reads it is moved, and tried again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft.errors import GroundTruthError
from handcraft.ground_truth.contexts import drawn_texts
from handcraft.ground_truth.disguised import Disguised
from handcraft.ground_truth.stream.featurizer import stream_states
from handcraft.ground_truth.stream.hook_point import model_state
from handcraft.ground_truth.values.located import Located, locate

NEAR = 1 / 8
"""How far a number may be from that of the original, as a part of the distance between codewords. At
less than 1/2 the nearest codeword would stay; superposition and noise may move numbers by more."""


def locate_in_disguise(
    subject: Disguised, *, texts: int = 256, seed: int = 0
) -> tuple[tuple[Located, ...], dict[str, str]]:
    """Every value whose numbers can be read from the stream of a disguise, and why others cannot.

    Args:
        subject: the disguise.
        texts: about how many texts are run, if there are more.
        seed: of the texts.

    Raises:
        GroundTruthError: no value can be read.
    """
    drawn = [each for each in drawn_texts(subject, texts, seed) if each.size]
    before = [stream_states(subject.original.model, each) for each in drawn]
    after = [stream_states(subject.model, each) for each in drawn]
    found: list[Located] = []
    left_out: dict[str, str] = {}
    for value in locate(subject.original, texts=texts, seed=seed):
        moved = replace(value, matrix=subject.reading(value.matrix))
        old, new = (model_state(s, value.states[0]) for s in (subject.original, subject))
        off = max(
            float(np.abs(value.numbers(b[old]) - moved.numbers(a[new])).max())
            for b, a in zip(before, after, strict=True)
        )
        if off <= NEAR * _distance(value):
            found.append(moved)
        else:
            left_out[value.name] = f"its numbers are off by up to {off:.3g} in the disguise"
    if not found:
        raise GroundTruthError(
            f"no value of the original can be read from the residual stream of {subject.name}",
            where=subject.name,
            fix="ask for other parts, or leave out noise and superposition",
        )
    return tuple(found), left_out


def _distance(value: Located) -> float:
    """The least distance of two numbers that are stored of it; 1 where codewords are not known."""
    if value.codewords is None:
        return 1.0
    table = np.array([[float(n) for n in word] for word in value.codewords.values()])
    steps = np.diff(np.sort(table, axis=0), axis=0)
    return float(steps[steps > 0].min(initial=1.0))
