"""How far a score that a tool computes can be from the sum of cosines that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import sqrt

import numpy as np

from handcraft.dtype import FLOAT32, DType
from handcraft.rotary.rotation import Floats, Rotation

LIBRARY = 8
"""Error of a cosine or sine in float32, in half units in the last place of 1, before it is rounded to
the dtype; 4 units are twice what any mathematical library in use allows for angles of this size."""

SMALL = 32
"""What numbers below the normal ones of float16 lose, in 2^-24 of a query or key: each of at most 16
roundings loses 2^-25 of a component of 1, and no component is between 0 and 1/4."""


@dataclass(frozen=True)
class ScoreError:
    """A bound of the error of a score, for any order of summation, with or without fused multiply-add.

    Lemma. Let u be half a unit in the last place of 1 in the dtype, v the same in float32. Pair j of
    the query has length |q|; the key is c in its first component and 0 in the other, the amplitude is
    |q| |c|.

    1. A tool computes the frequency in float32 by a power, a division and, in some tools, j products,
       so with a relative error of at most (j + 4) v, and multiplies it by the position: the angle is
       off by at most t = position * frequency * (j + 5) v (1 + 2^-10). For j = 0 all this is exact.
    2. Cosine and sine of it have errors of at most 8 v and are rounded to the dtype: as a vector they
       are off by at most w = t + 12 v + u (1 + t + 12 v).
    3. The rotated query is (a cos - b sin, b cos + a sin). With the rounded table it is off by w |q|.
       Two products and a sum are rounded, or two of the three at once: by the Cauchy-Schwarz inequality
       their errors are at most (1 + w) (sqrt(2) u (1 + u) + u) |q| as a vector. The key has one product
       a component and no sum: (1 + w) u |c|, and 0 if c is a power of two.
    4. Some tools multiply queries and keys by the root of the scale here: once more u relative to each.
    5. Numbers below the normal ones of float16 lose at most `SMALL` v of |q| and of |c|.
    6. The product of query and key has head_dim terms, which are added in float32 or wider: by
       Higham 2002, section 3.1, they lose at most head_dim v / (1 - head_dim v) of the sum of their
       absolute values, which is at most the sum of amplitudes.
    7. The sum is rounded to the dtype, and so is its product with the scale; in float32 the scale and
       the product are within 4 v: the factor of the whole score is within (1 + u)^2 (1 + 4 v).

    So |computed - exact| <= E + k (|exact| + E) with k = (1 + u)^2 (1 + 4 v) - 1 and E the sum over
    pairs of `relative[j]` * amplitude. What is not covered: sums in half precision, and tables of a
    tool that stores frequencies in half precision.

    Args:
        relative: error before the last two roundings, per unit of amplitude, [pair].
        last: k.
        query: of a rotated query as a vector, relative to its length in a pair, [pair].
        key: the same of a rotated key.
    """

    relative: Floats
    last: float
    query: Floats
    key: Floats


def score_error(rotation: Rotation, dtype: DType, *, by_power_of_two: bool = True) -> ScoreError:
    """The bound for positions below `rotation.positions`, see `ScoreError`.

    Args:
        rotation: positions and frequencies.
        dtype: of queries, keys and scores; sums are in float32 at least.
        by_power_of_two: whether every component of a key is a power of two or 0.
    """
    u, v = float(dtype.unit), float(FLOAT32.unit)
    pair = np.arange(rotation.pairs)
    last_position = rotation.positions - 1
    angle = np.where(
        pair > 0, last_position * rotation.frequencies * (pair + 5) * v * (1 + 2**-10), 0.0
    )
    library = sqrt(2) * LIBRARY * v
    table = angle + library + u * (1 + angle + library)
    query = table + (1 + table) * (sqrt(2) * u * (1 + u) + u)
    key = table + (0.0 if by_power_of_two else (1 + table) * u)
    query = query + (1 + query) * u + SMALL * v
    key = key + (1 + key) * u + SMALL * v
    terms = rotation.head_dim * v / (1 - rotation.head_dim * v)
    relative = (1 + query) * (1 + key) * (1 + terms) - 1
    last = (1 + u) ** 2 * (1 + 4 * v) - 1
    return ScoreError(relative, last, query, key)


def is_power_of_two(number: Fraction) -> bool:
    """Whether a number is a power of two, or minus one."""
    top, bottom = abs(number.numerator), number.denominator
    return top > 0 and top & (top - 1) == 0 and bottom & (bottom - 1) == 0
