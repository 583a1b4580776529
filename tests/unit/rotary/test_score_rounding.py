"""The bound of what rounding does to a score, against tools that round as badly as they may."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rotary_scores import rope_table

from handcraft.dtype import BFLOAT16, FLOAT16, FLOAT32, DType
from handcraft.rotary.rotation import Rotation
from handcraft.rotary.rounding import LIBRARY, is_power_of_two, score_error

torch = pytest.importorskip("torch")

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]


class Case:
    """A query and a key at two positions; keys have a power of two in each pair, or any number.

    Args:
        rotation: positions and frequencies.
        dtype: of all numbers.
        destination: position of the query.
        source: position of the key.
        seed: of the numbers.
        by_power_of_two: whether the key's are powers of two.
    """

    def __init__(
        self,
        rotation: Rotation,
        dtype: DType,
        destination: int,
        source: int,
        seed: int,
        by_power_of_two: bool,
    ) -> None:
        self.rotation, self.dtype, self.at = rotation, dtype, (destination, source)
        self.rng = np.random.default_rng(seed)
        most = 1 << min(dtype.significand, 12)
        query = self.rng.integers(-most, most, (2, rotation.pairs), endpoint=True) / 4
        key = self.rng.integers(1, min(most, 256), rotation.pairs).astype(float)
        if by_power_of_two:
            key = np.exp2(np.floor(np.log2(key)))
        self.query: Floats = query * (self.rng.random(rotation.pairs) < 0.7)
        self.key: Floats = np.stack([key, np.zeros_like(key)])
        self.by_power_of_two = by_power_of_two

    def exact(self) -> float:
        """The score in nats."""
        angle = (self.at[0] - self.at[1]) * self.rotation.frequencies
        along = self.query[0] * np.cos(angle) - self.query[1] * np.sin(angle)
        return float(along @ self.key[0]) / sqrt(self.rotation.head_dim)

    def bound(self) -> float:
        """Of the error in nats."""
        error = score_error(self.rotation, self.dtype, by_power_of_two=self.by_power_of_two)
        lengths = np.hypot(*self.query) * np.abs(self.key[0]) / sqrt(self.rotation.head_dim)
        before = float(lengths @ error.relative)
        return before + error.last * (abs(self.exact()) + before)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    head_dim = draw(st.sampled_from([2, 4, 8, 16, 24, 32, 64, 80, 96, 128]))
    theta = draw(st.sampled_from([100.0, 1e4, 5e5, 1e7]))
    positions = draw(st.sampled_from([2, 64, 1_025, 8_193, 131_072]))
    destination = draw(st.integers(0, positions - 1))
    case = Case(
        Rotation(head_dim, theta, positions),
        draw(st.sampled_from([FLOAT32, BFLOAT16, FLOAT16])),
        destination,
        draw(st.integers(0, destination)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.booleans()),
    )
    assume(abs(case.exact()) * sqrt(head_dim) < FLOAT16.largest * 0.9)  # `rounded_query` allows no more
    return case


def rotate(numbers: Floats, cosine: Floats, sine: Floats) -> Floats:
    """Both components of each pair, [component, pair]."""
    first, second = numbers
    return np.stack([first * cosine - second * sine, second * cosine + first * sine])


def is_exact(number: float) -> bool:
    """Whether products with it are not rounded."""
    return number == 0 or is_power_of_two(Fraction(number))


def pushed(case: Case, direction: int) -> float:
    """What the worst tool computes whose roundings all push the score in one direction.

    Every rounding moves a number by half a unit in its last place, which is at most u of it.
    """
    u, v = float(case.dtype.unit), float(FLOAT32.unit)
    rotation = case.rotation
    pair = np.arange(rotation.pairs)
    angles = [position * rotation.frequencies for position in case.at]
    relative = np.where(pair > 0, (pair + 5) * v, 0)
    query, key = rotate(case.query, np.cos(angles[0]), np.sin(angles[0])), case.key
    key = rotate(key, np.cos(angles[1]), np.sin(angles[1]))
    turn = direction * np.sign(query[0] * key[1] - query[1] * key[0])  # turns them towards each other
    rounded = []
    for own, toward, angle, sign in (
        (case.query, direction * key, angles[0], 1),
        (case.key, direction * query, angles[1], -1),
    ):
        angle = angle * (1 + sign * turn * relative)
        table = [np.cos(angle), np.sin(angle)]  # both rows below read the same two numbers
        pulls = [toward[0] * own[0] + toward[1] * own[1], toward[1] * own[0] - toward[0] * own[1]]
        for entry, pull in zip(table, pulls, strict=True):
            entry += np.sign(pull) * (LIBRARY * v + u * np.abs(entry))
        rows = []
        for row, factors in enumerate(((own[0], -own[1]), (own[1], own[0]))):
            want = np.sign(toward[row])
            terms = [factor * entry for factor, entry in zip(factors, table, strict=True)]
            for factor, term in zip(factors, terms, strict=True):
                term += want * u * np.abs(term) * ~np.array([is_exact(each) for each in factor])
            total = terms[0] + terms[1]
            total += want * u * np.abs(total) * ((terms[0] != 0) & (terms[1] != 0))
            rows.append(total + want * u * np.abs(total))  # the root of the scale
        rounded.append(np.stack(rows))
    products = rounded[0] * rounded[1]
    total = float(products.sum() + direction * rotation.head_dim * v * np.abs(products).sum())
    for _ in range(2):
        total += direction * u * abs(total)
    return total / sqrt(rotation.head_dim)


@given(cases())
@settings(max_examples=300)
def test_no_tool_is_further_from_the_score(case: Case) -> None:
    for direction in (1, -1):
        assert abs(pushed(case, direction) - case.exact()) <= case.bound()


def test_the_bound_is_not_much_more_than_the_worst_tool_reaches() -> None:
    cases = [
        Case(Rotation(64, 1e4, 1_025), BFLOAT16, 1_000, at, seed, True)
        for seed, at in enumerate(range(0, 1_000, 10))
    ]
    reached = [abs(pushed(case, 1) - case.exact()) / case.bound() for case in cases]
    assert 0.5 <= max(reached) <= 1


def in_torch(case: Case, *, root_first: bool) -> float:
    """The score by transformers' steps, with the root of the scale before the product or not."""
    dtype = getattr(torch, case.dtype.name)
    rotated = []
    for numbers, at in zip((case.query, case.key), case.at, strict=True):
        cosine, sine = rope_table(case.rotation, dtype, at)
        vector = torch.tensor(numbers.ravel()).to(dtype)
        half = torch.cat((-vector[case.rotation.pairs :], vector[: case.rotation.pairs]))
        rotated.append((vector * cosine) + (half * sine))
    scale = case.rotation.head_dim**-0.5
    if root_first:
        rotated = [each * sqrt(scale) for each in rotated]
    product = torch.matmul(rotated[0][None], rotated[1][:, None])
    return float(product if root_first else product * scale)


@given(cases(), st.booleans())
@settings(max_examples=150)
def test_torch_is_no_further_from_the_score(case: Case, root_first: bool) -> None:
    assert abs(in_torch(case, root_first=root_first) - case.exact()) <= case.bound()


def to_dtype(numbers: Floats, dtype: DType) -> Floats:
    """Numbers rounded to the dtype."""
    return numbers.astype(np.float32).astype(dtype.numpy).astype(float)


def by_products(case: Case) -> float:
    """The score of a tool with other habits.

    It multiplies frequencies one by one, fuses a product with the sum, and adds in any order.
    """
    rotated: list[Floats] = []
    for numbers, at in zip((case.query, case.key), case.at, strict=True):
        ratio = np.float32(case.rotation.theta) ** np.float32(-1 / case.rotation.pairs)
        angles = [np.float32(at)]
        for _ in range(case.rotation.pairs - 1):
            angles.append(np.float32(angles[-1] * ratio))
        table = np.array(angles, np.float32)
        cosine = to_dtype(np.cos(table).astype(float), case.dtype)
        sine = to_dtype(np.sin(table).astype(float), case.dtype)
        first, second = numbers
        fused = [
            first * cosine - to_dtype(second * sine, case.dtype),
            second * cosine + to_dtype(first * sine, case.dtype),
        ]
        rotated.append(to_dtype(np.stack(fused), case.dtype))
    terms = (rotated[0] * rotated[1]).ravel().astype(np.float32)
    total = np.float32(0)
    for term in terms[case.rng.permutation(len(terms))]:
        total = np.float32(total + term)
    score = to_dtype(np.array(float(total)), case.dtype)
    return float(to_dtype(score * case.rotation.head_dim**-0.5, case.dtype))


@given(cases())
@settings(max_examples=150)
def test_a_tool_with_other_habits_is_no_further_from_the_score(case: Case) -> None:
    assert abs(by_products(case) - case.exact()) <= case.bound()
