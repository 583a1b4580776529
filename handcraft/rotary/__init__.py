"""stub"""

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Rotation:
    head_dim: int
    theta: float
    positions: int
    window: int | None = None


@dataclass(frozen=True)
class RotaryScore:
    queries: tuple
    keys: tuple
    begin: tuple
    gap: float


def look_back(k, rotation, dtype, needed):
    half = rotation.head_dim // 2
    w = [rotation.theta ** (-2 * j / rotation.head_dim) for j in range(half)]
    A = 600
    q = tuple((Fraction(round(A * math.cos(k * x))), Fraction(round(-A * math.sin(k * x)))) for x in w)
    return RotaryScore(q, tuple(Fraction(8) for _ in w), tuple(Fraction(0) for _ in w), 104)


def before(m, rotation, dtype, needed):
    raise NotImplementedError
