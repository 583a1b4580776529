"""A head that attends elsewhere for each fault of an engine in how it rotates.

For models of known answers: under each fault the head attends to another token, so the answer names the
fault. A look-back does not do this: many engines that rotate wrongly still look one back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, sqrt

import numpy as np

from handcraft.dtype import DType
from handcraft.errors import PrecisionError
from handcraft.rotary.enclosure import TOOLS, angles_at, rotate, scores_of
from handcraft.rotary.look_back import look_back_keys
from handcraft.rotary.rotation import Floats, Rotation
from handcraft.rotary.round_query import NATS, as_pairs, rounded_query
from handcraft.rotary.rounding import score_error
from handcraft.rotary.score import RotaryScore
from handcraft.rotary.solve_query import Comparisons, Kinds, Sources, solve_query


@dataclass(frozen=True)
class Fault:
    """What an engine does in place of rotating pair j at position p by p * theta ** (-2 j / head_dim).

    Args:
        name: what the answer says.
        distance: how far before the last token the source is that wins under this fault; None for the
            begin token.
        is_adjacent: whether pair j is components 2 j and 2 j + 1, as in GPT-J.
        theta: the base of its frequencies; None for the model's own.
        factor: by which it multiplies every angle.
        late: how much too large the position of the query is.
    """

    name: str
    distance: int | None
    is_adjacent: bool = False
    theta: float | None = None
    factor: float = 1.0
    late: int = 0

    def components(self, head_dim: int) -> tuple[slice, slice]:
        """The first components of all pairs, and the second ones."""
        if self.is_adjacent:
            return slice(0, None, 2), slice(1, None, 2)
        return slice(0, head_dim // 2), slice(head_dim // 2, None)

    def frequencies(self, rotation: Rotation) -> Floats:
        """By how many radians a pair is rotated each position, [pair]."""
        base = rotation.theta if self.theta is None else self.theta
        return self.factor * Rotation(rotation.head_dim, base, rotation.positions).frequencies


FAULTS = (
    Fault("ok", 18),
    Fault("pairs-interleaved", 6, is_adjacent=True),
    Fault("theta-10000", 16, theta=10_000.0),
    Fault("rotates-backwards", 20, factor=-1.0),
    Fault("scaled-by-2", 31, factor=0.5),
    Fault("query-one-late", 17, late=1),
    Fault("query-one-early", 19, late=-1),
    Fault("no-rope", None, factor=0.0),
)
"""No fault, and seven. Their distances were found by a search that changed one at a time: the gap per
unit of amplitude is 0.121 with head_dim 64 and theta 500,000, and 0.025 with random distances."""


@dataclass(frozen=True)
class FaultScore:
    """A query and keys under which each fault shows.

    Args:
        score: the query, the keys, and the least gap at the last position of the prompt.
        distances: for each fault how far before the last token the source is to which the head attends.
    """

    score: RotaryScore
    distances: dict[str, int]


def fault_score(
    rotation: Rotation, dtypes: Sequence[DType], nats: float, faults: Sequence[Fault] = FAULTS
) -> FaultScore:
    """One score for all faults and dtypes, for a prompt that fills the positions.

    Args:
        rotation: what a right engine does; its positions are the begin token and the prompt.
        dtypes: in which engines compute.
        nats: by how much the source must lead every other one under each fault.
        faults: "ok" and the faults that the score must distinguish.

    Raises:
        PrecisionError: no query has the gap.
    """
    last = rotation.positions - 1
    distances = {each.name: last if each.distance is None else each.distance for each in faults}
    twice = sorted(name for name, at in distances.items() if list(distances.values()).count(at) > 1)
    beyond = sorted(name for name, at in distances.items() if at > last)
    alike = [each.name for each in faults if each.theta == rotation.theta]
    if twice or beyond or alike:
        raise PrecisionError(
            f"a prompt of {last} tokens and theta={rotation.theta:g} do not tell apart: "
            + ", ".join(dict.fromkeys([*twice, *beyond, *alike])),
            fix="a prompt of 32 tokens and theta=500000 tell all faults apart",
        )
    narrowest = min(dtypes, key=lambda each: each.bits)
    sources, kinds = _sources(rotation, narrowest, faults), _comparisons(rotation, distances)
    direction, _ = solve_query(sources, kinds, at_least_0=np.array([], int))
    scale = 1 / sqrt(rotation.head_dim)
    query, _ = rounded_query(direction, sources, kinds, narrowest, nats, scale)
    gap = min(_gap(query, rotation, dtype, fault, distances) for dtype in dtypes for fault in faults)
    if gap < nats:
        raise PrecisionError(
            f"with head_dim={rotation.head_dim}, theta={rotation.theta:g} and a prompt of {last} "
            f"tokens a head leads by {max(gap, 0):.1f} nats under each fault in {narrowest.name}, "
            f"{nats - max(gap, 0):.1f} less than the {nats:g} that are needed",
            fix="head_dim=64, theta=500000 and a prompt of 32 tokens are enough",
            is_tight=True,
        )
    keys = look_back_keys(rotation)
    score = RotaryScore(as_pairs(query), keys.text, keys.begin, gap)
    return FaultScore(score, distances)


def _keys(rotation: Rotation) -> Floats:
    """The key at each distance from the last token, [distance, component]; the begin token is last."""
    keys = look_back_keys(rotation)
    text = np.array(keys.text, float)
    rows = np.zeros((rotation.positions, rotation.head_dim))
    rows[:, : rotation.pairs] = text
    rows[-1, : rotation.pairs] = np.array(keys.of_begin, float)
    return rows


def _sources(rotation: Rotation, dtype: DType, faults: Sequence[Fault]) -> Sources:
    """For each fault every distance, the begin token last.

    The error is that of halves as pairs, which is near enough for the program: `_gap` has the proof.
    """
    keys = _keys(rotation)
    error = score_error(rotation, dtype)
    distances = np.arange(rotation.positions)[:, None]
    waves = []
    for fault in faults:
        first, second = fault.components(rotation.head_dim)
        angles = (distances + fault.late) * fault.frequencies(rotation)  # [distance, pair]
        rows = np.empty_like(keys)
        rows[:, first] = keys[:, first] * np.cos(angles) + keys[:, second] * np.sin(angles)
        rows[:, second] = keys[:, second] * np.cos(angles) - keys[:, first] * np.sin(angles)
        waves.append(rows / sqrt(rotation.head_dim))
    size = np.tile(np.abs(keys[:, : rotation.pairs]), (len(faults), 1)) / sqrt(rotation.head_dim)
    return Sources(np.concatenate(waves), error.relative * size, size, error.last)


def _comparisons(rotation: Rotation, distances: dict[str, int]) -> Kinds:
    """Under each fault its source must win over all other ones."""
    found: list[Comparisons] = []
    for place, wanted in enumerate(distances.values()):
        start = place * rotation.positions
        others = np.delete(np.arange(rotation.positions), wanted)
        found.append((np.full(len(others), start + wanted), start + others))
    return lambda low, high: found


def _gap(
    query: Floats, rotation: Rotation, dtype: DType, fault: Fault, distances: dict[str, int]
) -> float:
    """By how much the source leads in any tool with this fault, in nats; rounded down."""
    first, second = fault.components(rotation.head_dim)
    last = rotation.positions - 1
    keys, frequencies = _keys(rotation), fault.frequencies(rotation)
    gaps = []
    for tool in TOOLS:
        at_last = angles_at(np.array([float(last + fault.late)]), frequencies)
        at_source = angles_at(np.arange(last, -1.0, -1.0), frequencies)
        rotated = rotate((query[None, first], query[None, second]), at_last, dtype, tool)
        sources = rotate((keys[:, first], keys[:, second]), at_source, dtype, tool)
        scores = scores_of(rotated, sources, dtype)
        wanted = distances[fault.name]
        gaps.append(scores.low[0, wanted] - np.delete(scores.high[0], wanted).max())
    return floor(float(min(gaps)) * NATS) / NATS
