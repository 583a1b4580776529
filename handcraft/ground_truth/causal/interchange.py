"""Interchange interventions in NumPy: a value of one run put into the residual stream of another.

The coordinates of a value are read from both runs, and the difference is written to the run that is
changed. What reads and what writes them are different directions where numbers share the dimension that
keeps the mean at 0: that dimension is written, but it is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Subspace
from handcraft.circuits.number import evaluate
from handcraft.ground_truth.causal.mechanisms import Flags, Ids
from handcraft.model import Model
from handcraft.model import attention as attention_types
from handcraft.weights import Layout

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Featurizer:
    """How the coordinates of some subspaces are read from the residual stream, and written to it.

    Args:
        read: [n_embd, width]; coordinates are the stream times this, plus the constant.
        constant: [width].
        write: [n_embd, width]; the stream grows by a column where a coordinate grows by 1.
        shared: the dimensions that these subspaces share with others.
    """

    read: Array = field(repr=False)
    constant: Array = field(repr=False)
    write: Array = field(repr=False)
    shared: tuple[int, ...] = ()

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

    def numbers(self, stream: npt.NDArray[np.floating]) -> Array:
        """The coordinates: [.., n_embd] -> [.., width]."""
        return np.asarray(stream.astype(np.float64) @ self.read + self.constant)

    @cached_property
    def basis(self) -> Array:
        """An orthonormal basis of what is written to dimensions of their own: [n_embd, width].

        Tools that know orthogonal projections only exchange this part. Then the mean of the stream may
        change by what is left out.
        """
        own = self.write.copy()
        own[list(self.shared)] = 0
        return np.asarray(own / np.linalg.norm(own, axis=0))

    def exchanged(
        self, base: npt.NDArray[np.floating], source: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.floating]:
        """The stream of one run with the coordinates of another: [.., n_embd]."""
        moved = (source.astype(np.float64) - base) @ self.read  # [.., n_embd] @ [n_embd, width]
        return np.asarray((base + moved @ self.write.T).astype(base.dtype))

    def projected(
        self, base: npt.NDArray[np.floating], source: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.floating]:
        """The same by an orthogonal projection to the basis."""
        moved = (source.astype(np.float64) - base) @ self.basis
        return np.asarray((base + moved @ self.basis.T).astype(base.dtype))


def stream_states(model: Model, texts: Ids) -> list[attention_types.Array]:
    """Every state of the residual stream of a model: the embedding, and two for each block.

    `texts` are places in the vocabulary, [text, position].
    """
    found: list[attention_types.Array] = []

    def keep(name: str, value: attention_types.Array) -> None:
        if name == "embedding" or name.endswith((".after_attention", ".output")):
            if name.count(".") == 2 or name == "embedding":
                found.append(value.copy())

    ids = np.array(model.vocabulary.numbers, dtype=np.int64)[texts]
    model.watch(ids, keep)
    return found


def logits_after_exchange(
    model: Model,
    done: int,
    base: attention_types.Array,
    source: attention_types.Array,
    where: Flags,
    featurizer: Featurizer,
    *,
    is_orthogonal: bool = False,
) -> attention_types.Array:
    """The logits of runs into which values of other runs are put.

    Args:
        model: the model.
        done: the state of the stream, counted as `Model.resume` does.
        base: the streams that are changed, [text, position, n_embd].
        source: those that the values are from.
        where: at which positions of which texts: [text, position].
        featurizer: of the values.
        is_orthogonal: whether an orthogonal projection is exchanged.

    Returns:
        [text, position, token of the vocabulary].
    """
    stream = base.copy()
    exchange = featurizer.projected if is_orthogonal else featurizer.exchanged
    stream[where] = exchange(base[where], source[where])
    return model.resume(stream, done)[..., list(model.vocabulary.numbers)]
