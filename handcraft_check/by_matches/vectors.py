"""Queries and keys by the tokens that decide them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.stream import PRODUCT_SLACK
from handcraft_check.by_matches.settled import Settled
from handcraft_check.by_windows.sums import NormedSums
from handcraft_check.by_windows.windows import UnfitError
from handcraft_check.layers.matrix import Flags, Ids, Matrix
from handcraft_check.layers.model import Model

VECTORS = 1 << 14
"""If the queries or keys of a head are of more kinds than this, no proof is tried."""


@dataclass(frozen=True, eq=False)
class Kinds:
    """Queries or keys by the tokens of some atoms, without what the position adds.

    The computed vector is v + p + e + s mean + t (v + p - fixed), where p is what the position adds,
    |e| <= box, |s| <= shift and |t| <= scale.

    Args:
        tokens: for each of these atoms, the token: [kind].
        vectors: v: [kind, dimension].
        box: [kind, dimension].
        shift: [kind].
        scale: [kind].
    """

    tokens: dict[int, Ids]
    vectors: Array
    box: Array
    shift: Array
    scale: Array

    def __len__(self) -> int:
        return len(self.vectors)

    def codes(self, atom: int | None, of_token: Ids) -> Ids:
        """A function of the token of an atom, by kind."""
        return of_token[np.zeros(len(self), dtype=np.int64) if atom is None else self.tokens[atom]]

    def rows(self, which: Ids | Flags | slice) -> Kinds:
        """Some of them."""
        tokens = {atom: each[which] for atom, each in self.tokens.items()}
        return Kinds(tokens, self.vectors[which], self.box[which], self.shift[which], self.scale[which])

    def merged(self, codes: Sequence[Ids]) -> Kinds:
        """Merge all kinds that have the same codes and nearly the same vectors.

        Args:
            codes: numbers that must be equal in kinds that are merged: [kind] each.
        """
        size = np.abs(self.vectors).max(axis=0, initial=0.0)
        grid = np.where(size == 0, 1.0, size * 2.0**-40)
        rows = np.column_stack([np.rint(self.vectors / grid), *codes])
        _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        which, found = which.reshape(-1), self.rows(first)
        np.maximum.at(found.box, which, self.box + np.abs(self.vectors - found.vectors[which]))
        np.maximum.at(found.shift, which, self.shift)
        np.maximum.at(found.scale, which, self.scale)
        return found


class Vectors:
    """Queries or keys of one head, at positions of one kind.

    Args:
        model: the model.
        layer: the block.
        x: the positions.
        columns: the columns of the matrix of queries and keys that compute them.

    Raises:
        UnfitError: they may be infinite.
    """

    def __init__(self, model: Model, layer: int, x: Settled, columns: Ids) -> None:
        block = model.blocks[layer]
        self.model, self.x, self.norm = model, x, block.ln_1
        self.matrix: Matrix = block.heads.matching.of_columns(columns)
        gain, bias = (each.center for each in self.norm)
        self.mean, self.fixed = gain @ self.matrix.weight, bias @ self.matrix.weight
        self.fixed = self.fixed + self.matrix.bias
        normed = model.normed_sums(x.sums({}), self.norm)
        self.factor, self.weight = float(normed.factor[0]), normed.behind(self.matrix.weight)
        if not np.isfinite([*self.fixed, *self._box(normed)[0]]).all():
            raise UnfitError("queries or keys may be infinite")
        places = x.places[x.positions] @ self.weight
        self.middle = (places.min(axis=0) + places.max(axis=0)) / 2
        self.places = self.factor * (places - self.middle)  # what positions add: [position, dimension]
        self.place = np.abs(self.places).max(axis=0)
        self.start = self.fixed + self.factor * self.middle  # what does not depend on tokens
        self.tokens = [table @ self.weight for table in x.tables]
        size = normed.factor[0] * np.max(
            [np.abs(e).max(axis=0) for e in (places, *self.tokens)], axis=0
        )
        self.most = np.abs(self.fixed) + (len(self.tokens) + 1) * size * 2

    def _box(self, normed: NormedSums) -> Array:
        """How far each dimension may be off, but for errors of mean and scale: [row, dimension].

        These are the errors of `Normed.read_about_the_mean`.
        """
        upper = (normed.factor * (1 + normed.scale))[:, None]
        weight = np.abs(normed.behind(self.matrix.weight, is_centred=False))
        found = normed.rest @ np.abs(self.matrix.weight) + upper * (normed.stream.error @ weight)
        found += PRODUCT_SLACK * upper * (normed.sums.size @ np.abs(self.weight))
        return np.asarray(found + self.matrix.product_error(normed.magnitude))

    def kinds(self, atoms: Iterable[int]) -> Kinds:
        """The vectors by the tokens of some atoms; what other tokens add counts as an error.

        Raises:
            UnfitError: there are too many.
        """
        chosen = sorted(atoms)
        counts = [len(self.tokens[atom]) for atom in chosen]
        if np.prod([float(count) for count in counts]) > VECTORS:
            raise UnfitError("a head matches too many kinds of positions")
        rows = np.indices(counts).reshape(len(chosen), -1) if chosen else np.empty((0, 1), dtype=int)
        tokens = dict(zip(chosen, rows, strict=True))
        normed = self.model.normed_sums(self.x.sums(tokens), self.norm)
        center, half = np.tile(self.middle, (rows.shape[1], 1)), np.zeros_like(self.fixed)
        for atom, table in enumerate(self.tokens):
            if atom in tokens:
                center += table[tokens[atom]]
            else:
                low, high = table.min(axis=0), table.max(axis=0)
                center, half = center + (low + high) / 2, half + (high - low) / 2
        factor, scale = normed.factor[:, None], normed.scale[:, None]
        box = self._box(normed) + half * factor * (1 + scale)
        box += np.abs(factor / self.factor - 1) * self.place * (1 + scale)
        if not (np.isfinite(box).all() and (normed.scale < 0.5).all()):
            raise UnfitError("queries or keys may be infinite")
        mean = normed.drift + normed.factor * (1 + normed.scale) * self.x.mean
        shift = np.minimum(normed.shift, mean)
        return Kinds(tokens, center * factor + self.fixed, box, shift, normed.scale)

    def differing(self, weight: Array, least: float) -> set[int]:
        """The atoms whose tokens may move a product with some other vector by more than `least`.

        Args:
            weight: the largest absolute values of the other vector: [dimension].
            least: smaller changes do not count.
        """
        spans = [(table.max(axis=0) - table.min(axis=0)) @ weight for table in self.tokens]
        return {atom for atom, span in enumerate(spans) if span * self.factor > least}
