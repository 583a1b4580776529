"""The exact map from a model to its disguise.

Ground truth is about the original: heads and hidden units of circuits, directions of features. This map
says which heads, hidden units and directions of the disguise these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from handcraft.errors import ModelError
from handcraft.model import Shape
from handcraft.model.layers.attention import Array

Ids = npt.NDArray[np.int64]

NONE = -1
"""In place of the number of an old unit or token: there is none."""


class Place(NamedTuple):
    """A head or a hidden unit: its block, and its number in the block."""

    block: int
    number: int


@dataclass(frozen=True, eq=False)
class HeadCopy:
    """A head that computes what an old head computes, or one summand of it.

    Each matrix maps the channels of the old head to those of the new one: [new channel, old channel].
    Scores stay the same, since ``query.T @ key`` is the identity, up to a factor for the width of the
    heads. The sum that is written stays the same, since ``value.T @ output`` of all copies of a head
    sum to the identity.

    Args:
        source: the old head.
        query: is applied to its queries.
        key: is applied to its keys.
        value: is applied to its values.
        output: is applied to the rows of c_proj that write them.
    """

    source: Place
    query: Array
    key: Array
    value: Array
    output: Array

    def after(self, earlier: HeadCopy) -> HeadCopy:
        """This copy of a head that is itself a copy."""
        return HeadCopy(
            earlier.source,
            self.query @ earlier.query,
            self.key @ earlier.key,
            self.value @ earlier.value,
            self.output @ earlier.output,
        )


@dataclass(frozen=True, eq=False)
class Carried:
    """The map from a model, the old one, to another with the same answers, the new one.

    Args:
        old: the sizes of the old model.
        new: the sizes of the new one.
        stream: the linear map of the residual stream, [new n_embd, old n_embd]. Everything else in the
            new stream is orthogonal to its columns, or in the mean, which LayerNorm removes.
        blocks: for each new block the old one; None for a block that was added.
        heads: for each new block, for each head, what it is a copy of; None for one that was added.
        units: for each new block, the old unit that each unit computes, `NONE` for one that was added.
        shares: for each new block, the factor by which each unit's output weights were multiplied.
        tokens: for each new token id the old one, `NONE` for one that was added.
        distractor_heads: the new heads that compute something and change no answer.
        distractor_units: the new units that do.
    """

    old: Shape
    new: Shape
    stream: Array = field(repr=False)
    blocks: tuple[int | None, ...]
    heads: tuple[tuple[HeadCopy | None, ...], ...] = field(repr=False)
    units: tuple[Ids, ...] = field(repr=False)
    shares: tuple[Array, ...] = field(repr=False)
    tokens: Ids = field(repr=False)
    distractor_heads: frozenset[Place] = frozenset()
    distractor_units: frozenset[Place] = frozenset()

    def direction(self, vector: npt.ArrayLike) -> Array:
        """The direction that the new model writes where the old one writes `vector`.

        Codewords, feature vectors and bases of subspaces are such directions.

        Args:
            vector: [..., old n_embd].

        Returns:
            [..., new n_embd].
        """
        return self._checked(vector) @ self.stream.T

    def reading(self, vector: npt.ArrayLike) -> Array:
        """The vector whose inner product with the new stream is that of `vector` with the old one.

        Where readers apply LayerNorm, subtract the mean of the new stream first: distractors write it.

        Linear probes and the columns of weights that read the stream are such vectors.

        Args:
            vector: [..., old n_embd].

        Returns:
            [..., new n_embd].
        """
        return self._checked(vector) @ self.inverse

    @cached_property
    def inverse(self) -> Array:
        """The map back: ``old = inverse @ new``, [old n_embd, new n_embd]."""
        return np.asarray(np.linalg.pinv(self.stream))

    def block(self, old: int) -> int:
        """Where an old block is."""
        if old not in self.blocks or type(old) is not int:
            raise _unknown("block", old, self.old.n_layer)
        return self.blocks.index(old)

    def head(self, block: int, number: int) -> tuple[Place, ...]:
        """The new heads that compute an old head; its output is the sum of theirs."""
        if not 0 <= number < self.old.n_head:
            raise _unknown("head", number, self.old.n_head)
        place = self.block(block)
        return tuple(
            Place(place, i)
            for i, copy in enumerate(self.heads[place])
            if copy is not None and copy.source == (block, number)
        )

    def unit(self, block: int, number: int) -> tuple[Place, ...]:
        """The new hidden units that compute an old one; its output is the sum of theirs."""
        place = self.block(block)
        if not 0 <= number < self.old.n_inner[block]:
            raise _unknown("hidden unit", number, self.old.n_inner[block])
        return tuple(Place(place, i) for i in np.flatnonzero(self.units[place] == number).tolist())

    def token(self, old: int) -> int:
        """The new id of a token."""
        found = np.flatnonzero(self.tokens == old)
        if not len(found) or old < 0:
            raise _unknown("token", old, self.old.n_vocab)
        return int(found[0])

    def then(self, later: Carried) -> Carried:
        """This map, and then another."""
        if later.old != self.new:
            raise ModelError(
                f"a map from {later.old} follows one to {self.new}",
                fix="compose maps in the order in which they were made",
            )
        blocks = tuple(None if at is None else self.blocks[at] for at in later.blocks)
        heads, units, shares = [], [], []
        for new, at in enumerate(later.blocks):
            heads.append(tuple(self._before(copy) for copy in later.heads[new]))
            chosen = later.units[new]
            if at is None:
                units.append(np.full_like(chosen, NONE))
                shares.append(np.ones(len(chosen)))
                continue
            kept = chosen != NONE
            found, share = np.full_like(chosen, NONE), np.ones(len(chosen))
            found[kept] = self.units[at][chosen[kept]]
            share[kept] = later.shares[new][kept] * self.shares[at][chosen[kept]]
            units.append(found)
            shares.append(share)
        tokens = np.full_like(later.tokens, NONE)
        tokens[later.tokens != NONE] = self.tokens[later.tokens[later.tokens != NONE]]
        moved_heads = (place for old in self.distractor_heads for place in later.head(*old))
        moved_units = (place for old in self.distractor_units for place in later.unit(*old))
        return Carried(
            self.old,
            later.new,
            later.stream @ self.stream,
            blocks,
            tuple(heads),
            tuple(units),
            tuple(shares),
            tokens,
            later.distractor_heads.union(moved_heads),
            later.distractor_units.union(moved_units),
        )

    def _before(self, copy: HeadCopy | None) -> HeadCopy | None:
        """The copy, if it is one of a head that is a copy itself."""
        if copy is None:
            return None
        earlier = self.heads[copy.source.block][copy.source.number]
        return None if earlier is None else copy.after(earlier)

    def _checked(self, vector: npt.ArrayLike) -> Array:
        found = np.asarray(vector, dtype=np.float64)
        if found.ndim < 1 or found.shape[-1] != self.old.n_embd:
            raise ModelError(
                f"a vector of shape {list(found.shape)} for a residual stream of {self.old.n_embd}",
                fix=f"give vectors of {self.old.n_embd} numbers, those of the original model",
            )
        return found


def unchanged(shape: Shape) -> Carried:
    """The map of a model to itself."""
    one = np.eye(shape.head_dim)
    heads = [
        tuple(HeadCopy(Place(block, i), one, one, one, one) for i in range(shape.n_head))
        for block in range(shape.n_layer)
    ]
    return Carried(
        shape,
        shape,
        np.eye(shape.n_embd),
        tuple(range(shape.n_layer)),
        tuple(heads),
        tuple(np.arange(inner) for inner in shape.n_inner),
        tuple(np.ones(inner) for inner in shape.n_inner),
        np.arange(shape.n_vocab),
    )


def every_head(shape: Shape) -> Sequence[Place]:
    """Every head of a model of some sizes."""
    return [Place(*each) for each in product(range(shape.n_layer), range(shape.n_head))]


def _unknown(what: str, number: object, count: int) -> ModelError:
    return ModelError(
        f"the original has no {what} {number!r}", fix=f"give a number from 0 to {count - 1}"
    )
