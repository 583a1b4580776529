"""Attention heads: where they attend (the QK circuit) and what they move (the OV circuit)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from handcraft.circuits.content import ByContent
from handcraft.circuits.distance import LookBack
from handcraft.circuits.linear_map import LinearMap, copy
from handcraft.circuits.number import Number, Plain
from handcraft.circuits.subspace import Coefficients, Encoding, Subspace
from handcraft.display import short_repr
from handcraft.errors import CircuitError, EncodingError
from handcraft.origin import Origin

AttentionWeights: TypeAlias = "tuple[tuple[int, Plain], ...]"
"""Source positions, and how much of the attention each of them gets."""


@short_repr
@dataclass(frozen=True)
class Relation:
    """A QK circuit: which source positions a destination position attends to.

    The attention score of a pair is the inner product of what `query` reads at the destination and
    `key` reads at the source, both written into the same *matching* subspaces (Elhage et al. 2021,
    A Mathematical Framework for Transformer Circuits). Sources with the highest score get all the
    attention, in equal parts. Alternatively attention is soft: either `base` is the factor by which a
    score higher by 1 multiplies a weight, or `attention_weights` gives the weight of every source, and
    the scores are their logarithms.

    Args:
        label: a short name for pictures and reports, such as ``1 back``.
        query: maps from the residual stream at the destination to the matching subspaces.
        key: maps from the residual stream at the source to the matching subspaces.
        gap: the smallest difference between the best score and any other that is not equal to it.
        picks_one: whether exactly one source has the best score, at every destination.
        query_bias: constants that are added to every query, in the matching subspaces.
        key_bias: constants that are added to every key, in the matching subspaces.
        attention_weights: for each destination position its sources and their attention weights, which
            sum to 1; none for a destination whose weights are not stated. Scores must depend on
            positions only.
        error_bound: the largest error of an attention weight.
        base: what the weight of a source is multiplied by for each 1 that its score is higher; None
            where only the highest scores count.
        distance: in a rotary model, where it attends by distance alone; then nothing is read for
            queries and keys but constants, which the target chooses. None where scores are products of
            what is read.
        content: in a rotary model, which of the sources that match it attends to, if it does so by what
            is read. None where the highest scores win.
    """

    label: str
    query: tuple[LinearMap, ...]
    key: tuple[LinearMap, ...]
    gap: Number = 1
    picks_one: bool = False
    query_bias: tuple[Coefficients, ...] = ()
    attention_weights: tuple[AttentionWeights, ...] | None = None
    error_bound: float = 0
    key_bias: tuple[Coefficients, ...] = ()
    base: int | None = None
    distance: LookBack | None = None
    content: ByContent | None = None

    @property
    def is_hard(self) -> bool:
        """Whether only the highest scores count."""
        return self.base is None and self.attention_weights is None

    @property
    def is_rotary(self) -> bool:
        """Whether the target chooses the scores, in part by distance."""
        return self.distance is not None or self.content is not None

    def __post_init__(self) -> None:
        if isinstance(self.gap, int | Fraction) and self.gap <= 0:
            raise CircuitError(
                f"the relation `{self.label}` has a gap of {self.gap}",
                fix="give the difference between the best score and the next: more than 0",
            )


SELF_MATCHING = (Encoding.ONE_HOT, Encoding.SIGNED_BITS, Encoding.SINUSOIDAL)
"""The encodings in which a value has its largest inner product with itself."""


@short_repr
@dataclass(frozen=True)
class Head:
    """An attention head over named subspaces.

    Args:
        name: its name in pictures, errors and explanations of weights.
        attends: the QK circuit.
        moves: what is read at the sources, into *carried* subspaces: W_V.
        writes: how the mean of that is written to the residual stream at the destination: W_O.
        sharpness: the factor of the query; None for the smallest one that makes attention exactly
            hard in the dtype.
        origins: what the whole head serves.
    """

    name: str
    attends: Relation
    moves: tuple[LinearMap, ...]
    writes: tuple[LinearMap, ...]
    sharpness: Number | None = None
    origins: tuple[Origin, ...] = ()

    @property
    def all_reads(self) -> tuple[LinearMap, ...]:
        """Every map that reads the residual stream."""
        return (*self.attends.query, *self.attends.key, *self.moves)

    @property
    def matching(self) -> tuple[Subspace, ...]:
        """The subspaces in which query and key are multiplied: the W_Q and W_K side of the head."""
        constants = (*self.attends.query_bias, *self.attends.key_bias)
        biased = [each.subspace for each in constants]
        return _unique([*(m.target for m in (*self.attends.query, *self.attends.key)), *biased])

    @property
    def carried(self) -> tuple[Subspace, ...]:
        """The subspaces that carry the value: the W_V side of the head."""
        return _unique(m.target for m in self.moves)

    @property
    def width(self) -> int:
        """The head dimension it needs."""
        return max(sum(s.width for s in self.matching), sum(s.width for s in self.carried), 1)


def window(position: Subspace, back: int) -> Relation:
    """Attend to the last `back` positions, this one among them, equally.

    Raises:
        CircuitError: `back` is not at least 1, or `position` is not one-hot.
    """
    if back < 1:
        raise CircuitError(f"a window of {back} positions", fix="attend to at least 1 position")
    label = "this position" if back == 1 else f"the last {back} positions"
    return _of_positions(position, label, lambda here: range(max(0, here - back + 1), here + 1))


def look_back(position: Subspace, distance: int) -> Relation:
    """Attend to the position `distance` before this one, or to the first where there is none.

    Raises:
        CircuitError: `distance` is negative, or `position` is not one-hot.
    """
    if distance < 0:
        raise CircuitError(
            f"a look-back distance of {distance}", fix="use 0 for this position, or a positive distance"
        )
    relation = _of_positions(position, back_label(distance), lambda here: [max(0, here - distance)])
    return replace(relation, picks_one=True)


def equal(query: Subspace, key: Subspace, *, label: str, picks_one: bool = False) -> Relation:
    """Attend wherever `query` here equals `key` there.

    One-hot codewords have the inner product 1 where they are equal and 0 elsewhere; signed bits have
    their width where equal, and at least 2 less for every bit that differs.

    Args:
        query: one-hot or signed-bit subspace read at the destination position.
        key: the subspace read at the source position; same encoding and width as `query`.
        label: what the relation is called.
        picks_one: whether the key is different at every source, and equal at one of them.

    Raises:
        EncodingError: the two subspaces are encoded differently.
    """
    if key.encoding not in SELF_MATCHING:
        raise EncodingError(
            f"`{key.name}` is encoded as {key.encoding.value}: equal values do not have the largest "
            "inner product",
            fix="use one-hot, signed bits or sinusoids",
        )
    gap = 2 if key.encoding is Encoding.SIGNED_BITS else 1
    return Relation(label, (copy(query, key),), (copy(key, key),), gap, picks_one)


def back_label(distance: int) -> str:
    """The label of a relation that attends `distance` positions back."""
    return "this position" if distance == 0 else f"{distance} back"


def _of_positions(position: Subspace, label: str, sources: Callable[[int], Iterable[int]]) -> Relation:
    """Attend to the positions that a function gives for each destination."""
    if position.encoding is not Encoding.ONE_HOT:
        raise EncodingError(
            f"`{position.name}` is encoded as {position.encoding.value}, not one-hot",
            fix="use a one-hot position, or equal() with a subspace that encodes the target",
        )
    entries = tuple((here, there, 1) for here in range(position.width) for there in sources(here))
    return Relation(label, (LinearMap(position, position, entries),), (copy(position, position),))


def _unique(subspaces: Iterable[Subspace]) -> tuple[Subspace, ...]:
    return tuple(dict.fromkeys(subspaces))
