"""How values are read from the residual stream of a model, and written to it, as matrices.

A number is read and written along different directions if several numbers share the dimension that
keeps the mean of the stream at 0: that dimension is written, but not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Subspace
from handcraft.circuits.number import evaluate
from handcraft.model import Model
from handcraft.weights import Layout

Array = npt.NDArray[np.float64]
Stream = npt.NDArray[np.floating]
Ids = npt.NDArray[np.int64]

HALVES = ("after_attention", "output")
"""The states of the residual stream in a block, as a trace calls them."""


@dataclass(frozen=True, eq=False)
class Featurizer:
    """How the coordinates of some subspaces are read from the residual stream, and written to it.

    Args:
        read: [n_embd, width]; coordinates are the stream times this, plus the constant.
        constant: [width].
        write: [n_embd, width]; if a coordinate grows by 1, its column is added to the stream.
        shared: the dimensions that these subspaces share with others.
        spanned: an orthonormal basis, where dimensions say nothing of it.
    """

    read: Array = field(repr=False)
    constant: Array = field(repr=False)
    write: Array = field(repr=False)
    shared: tuple[int, ...] = ()
    spanned: Array | None = field(default=None, repr=False)

    @classmethod
    def of(cls, subspaces: Sequence[Subspace], layout: Layout) -> Featurizer:
        """The featurizer of some subspaces."""
        width = sum(subspace.width for subspace in subspaces)
        read, write = np.zeros((layout.n_embd, width)), np.zeros((layout.n_embd, width))
        constant = np.zeros(width)
        coordinates = [(subspace, i) for subspace in subspaces for i in range(subspace.width)]
        for column, (subspace, i) in enumerate(coordinates):
            cells, added = layout.read(subspace, i, 1)
            constant[column] = float(evaluate(added, {}))
            for matrix, entries in ((read, cells), (write, layout.write(subspace, i, 1))):
                for dimension, factor in entries:
                    matrix[dimension, column] = float(evaluate(factor, {}))
        shared = () if layout.balance is None else (layout.balance,)
        return cls(read, constant, write, shared)

    def numbers(self, stream: Stream) -> Array:
        """The coordinates: [.., n_embd] -> [.., width]."""
        return np.asarray(stream.astype(np.float64) @ self.read + self.constant)

    @cached_property
    def basis(self) -> Array:
        """An orthonormal basis of what is written to dimensions of their own: [n_embd, width].

        Tools that use orthogonal projections exchange only this part. It leaves out dimensions that
        are shared with other subspaces, so the mean of the stream may change.
        """
        if self.spanned is not None:
            return self.spanned
        own = self.write.copy()
        own[list(self.shared)] = 0
        return np.asarray(own / np.linalg.norm(own, axis=0))

    def exchanged(self, base: Stream, source: Stream) -> Stream:
        """The stream of one run with the coordinates of another: [.., n_embd]."""
        moved = (source.astype(np.float64) - base) @ self.read  # [.., n_embd] @ [n_embd, width]
        return np.asarray((base + moved @ self.write.T).astype(base.dtype))

    def projected(self, base: Stream, source: Stream) -> Stream:
        """The same by an orthogonal projection to the basis."""
        moved = (source.astype(np.float64) - base) @ self.basis
        return np.asarray((base + moved @ self.basis.T).astype(base.dtype))


def stream_states(model: Model, texts: Ids) -> list[Stream]:
    """Every state of the residual stream of a model: the embedding, and two for each block.

    `texts` are places in the vocabulary, [text, position]. Each state is [text, position, n_embd]; the
    begin token of a Llama, whose stream is the same in every text, is left out.
    """
    found: list[Stream] = []
    lead = 0 if model.begin_id is None else 1
    halves = [f"h.{i}.{half}" for i in range(model.shape.n_layer) for half in HALVES]
    states = {"embedding", *halves}

    def keep(name: str, value: Stream) -> None:
        if name in states:
            found.append(value[:, lead:].copy())

    ids = np.array(model.vocabulary.numbers, dtype=np.int64)[texts]
    model.watch(ids, keep)
    return found
