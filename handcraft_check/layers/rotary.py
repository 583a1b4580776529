"""Rotary position embeddings: queries and keys that are rotated by angles proportional to positions.

Dimension j of a head and dimension j + head_dim / 2 are a pair, which is rotated by the position times
theta^(-2j / head_dim). So the product of a query and a key depends on their distance.

Sources: J. Su et al., RoFormer (2021), section 3.4.2; transformers, models/llama/modeling_llama.py,
LlamaRotaryEmbedding and rotate_half, which pairs dimensions so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handcraft_check.arithmetic.regime import FLOAT32, Format, Regime
from handcraft_check.arithmetic.rounding import (
    TINY,
    UNIT,
    Bounded,
    added,
    multiplied,
    rounded,
)
from handcraft_check.by_cases.states import hull
from handcraft_check.layers.matrix import Ids, Matrix
from handcraft_check.layers.scores import COMMON
from handcraft_check.layers.zeros import Heads, places_of, reads

POWER_ULPS = 4
"""How far theta^x may be off, in units in the last place. An assumption, as is theta^0 = 1."""

TRIG_ULPS = 4
"""How far cos and sin may be off, in units in the last place of 1. An assumption, as are those of 0."""

FLOAT64_ANGLE = 2.0**-50
"""More than the checker's float64 is off in an angle, its cos and its sin, relatively to 1 + angle."""


@dataclass(frozen=True, eq=False)
class Rotary:
    """How the heads of a block rotate queries and keys.

    Args:
        pairs: which pairs each head has; -1 behind those of heads that have fewer: [head, pair].
        theta: the base of the frequencies.
        head_dim: the width of a head in the file, twice the number of all pairs.
    """

    pairs: Ids
    theta: float
    head_dim: int

    def angles(self, positions: Ids) -> Bounded:
        """By how much pairs are rotated: [position] -> [position, head, pair].

        The frequency is 1 / theta^x with x = 2j / head_dim. Float32 rounds x, which moves the power by
        ln(theta) x units, and theta, which moves it by x units; the power is off by `POWER_ULPS`, two
        units each; the quotient and the product with the position are rounded once each. Positions are
        numbers of float32. The first frequency is 1, and its angles are positions, without error.
        """
        shares = 2.0 * np.maximum(self.pairs, 0) / self.head_dim
        frequencies = self.theta**-shares
        units = 2 * POWER_ULPS + 2 + (np.log(self.theta) + 1) * shares
        units = np.where(shares == 0, 0.0, units * (1 + 2.0**-10))
        center = positions[:, None, None] * frequencies
        return Bounded(center, center * units * UNIT)

    def turns(self, positions: Ids, format: Format) -> tuple[Bounded, Bounded]:
        """The cosines and the sines of the angles, rounded: [position] -> [position, head, pair].

        Neither changes by more than its angle does.
        """
        angles = self.angles(positions)
        error = angles.error + TRIG_ULPS * 2.0**-23 + FLOAT64_ANGLE * (1 + angles.center)
        error = np.where(angles.center == 0, 0.0, error)
        found = []
        for center in (np.cos(angles.center), np.sin(angles.center)):
            low, high = np.maximum(center - error, -1.0), np.minimum(center + error, 1.0)
            wide = rounded(low, high, format)
            is_known = error == 0
            found.append(
                Bounded(np.where(is_known, center, wide.center), np.where(is_known, 0.0, wide.error))
            )
        return found[0], found[1]

    def rotated(self, x: Bounded, positions: Ids, regime: Regime) -> Bounded:
        """Queries or keys at positions: [row, head, dimension + 2] each, as `Matching` has them.

        Args:
            x: the first halves of all pairs, the second halves, and what scores have behind these.
            positions: of each row: [row]; or one of all, [1].
            regime: in which they are computed.
        """
        half = self.pairs.shape[1]
        one, other = x[..., :half], x[..., half : 2 * half]
        cos, sin = self.turns(positions, regime.steps)
        minus = Bounded(-sin.center, sin.error)
        turn = _turned if regime.steps is FLOAT32 else _turned_step_by_step
        halves = turn(one, cos, other, minus, regime.steps), turn(other, cos, one, sin, regime.steps)
        shape = np.broadcast_shapes(x.center.shape[:1], positions.shape)
        none = np.zeros((*shape, len(self.pairs), COMMON))
        return Bounded(
            np.concatenate([*(each.center for each in halves), none], axis=-1),
            np.concatenate([*(each.error for each in halves), none], axis=-1),
        )

    def rotated_anywhere(self, x: Bounded, positions: Ids, regime: Regime) -> Bounded:
        """What queries or keys are inside of at each of some positions: as `rotated`.

        Args:
            x: of `rotated`.
            positions: at which each row may be.
            regime: in which they are computed.
        """
        each = [self.rotated(x, np.array([position]), regime) for position in positions.tolist()]
        center, error = (np.stack([getattr(k, name) for k in each]) for name in ("center", "error"))
        return hull(Bounded(center, error))


def _turned(x: Bounded, cos: Bounded, y: Bounded, sin: Bounded, format: Format) -> Bounded:
    """X cos + y sin in float32, fused or not: two products and a sum, each rounded once."""
    center = x.center * cos.center + y.center * sin.center
    error, size = np.zeros_like(center), np.zeros_like(center)
    for value, turn in ((x, cos), (y, sin)):
        most = np.abs(turn.center) + turn.error
        error = error + value.error * most + np.abs(value.center) * turn.error
        size = size + (np.abs(value.center) + value.error) * most
    own = np.where(size > 0, 2 * UNIT * (1 + UNIT) * size + 3 * TINY, 0.0)
    return Bounded(center, error + own)


def _turned_step_by_step(x: Bounded, cos: Bounded, y: Bounded, sin: Bounded, format: Format) -> Bounded:
    """The same where both products are rounded to few digits, and so is their sum."""
    return added(multiplied(x, cos, format), multiplied(y, sin, format), format)


def rotary_heads(q: Matrix, k: Matrix, v: Matrix, out: Matrix, head_dim: int) -> tuple[Heads, Ids]:
    """What is left of a block's attention without zeros, and the pairs of each head that is left.

    Heads that share keys and values have a copy of them each. A pair stays if one of its dimensions may
    differ from 0, in the query or in the key, for each dimension is written to the other too.

    Args:
        q: [n_embd, head * head_dim].
        k: [n_embd, kv_head * head_dim].
        v: [n_embd, kv_head * head_dim].
        out: [head * head_dim, n_embd].
        head_dim: the width of a head.
    """
    count, half = q.weight.shape[1] // head_dim, head_dim // 2
    copies = np.repeat(
        np.arange(k.weight.shape[1]).reshape(-1, head_dim),
        q.weight.shape[1] // k.weight.shape[1],
        axis=0,
    )
    k, v = (each.of_columns(copies.ravel()) for each in (k, v))
    used = [np.logical_or(*reads(each).reshape(count, 2, half).swapaxes(0, 1)) for each in (q, k)]
    is_pair, is_moved = np.asarray(used[0] | used[1]), reads(v).reshape(count, head_dim)
    left = np.flatnonzero(is_pair.any(axis=1) | is_moved.any(axis=1))
    firsts = left[:, None] * head_dim
    pairs = places_of(is_pair[left], 0 * firsts)
    columns = np.where(pairs < 0, -1, pairs + firsts)
    columns = np.concatenate([columns, np.where(columns < 0, -1, columns + half)], axis=1).ravel()
    moved = places_of(is_moved[left], firsts)
    written = out.of_rows(moved.ravel())
    matching = _beside(q.of_columns(columns), k.of_columns(columns))
    heads = Heads(
        len(left),
        2 * pairs.shape[1],
        moved.shape[1],
        matching,
        v.of_columns(moved.ravel()),
        written,
        2.0 * np.asarray(used[0] & used[1])[left].sum(axis=1),
        written.magnitude.max(axis=1, initial=0.0).reshape(moved.shape),
        left,
    )
    return heads, pairs


def _beside(one: Matrix, other: Matrix) -> Matrix:
    """The columns of both matrices, which have no bias."""
    weight = np.concatenate([one.weight, other.weight], axis=1)
    apart = None
    if one.apart is not None or other.apart is not None:
        parts = [np.zeros_like(m.weight) if m.apart is None else m.apart for m in (one, other)]
        apart = np.concatenate(parts, axis=1)
    return Matrix(weight, np.zeros(weight.shape[1]), apart)
