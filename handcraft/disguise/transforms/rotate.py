"""Rotate the residual stream, and the channels within each head: no weight stays at 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from handcraft.disguise.carried import HeadCopy, unchanged
from handcraft.disguise.draft import Draft
from handcraft.disguise.resize import centred_basis
from handcraft.disguise.transforms.checked import check_flag
from handcraft.model.layers.attention import Array


@dataclass(frozen=True)
class Rotate:
    """Rotate the stream at random, as far as LayerNorm allows.

    LayerNorm subtracts the mean and divides by the standard deviation. Both commute with an orthogonal
    matrix Q that keeps the direction of the mean: ``Q @ ones == ones``. Gains and biases are folded
    into the next matrices first (`fold_norms`). Q is drawn uniformly from all such matrices.

    Args:
        within_heads: whether queries and keys, and values and outputs, are rotated within each head
            too.
    """

    name: ClassVar[str] = "rotate"
    guarantee: ClassVar[str] = (
        "equal in exact arithmetic; in floating point every number is rounded anew, so the margin "
        "that is "
        "left is measured"
    )
    within_heads: bool = True

    def __post_init__(self) -> None:
        check_flag(self, "within_heads", "whether channels are rotated too")

    def apply(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The draft, rotated."""
        shape = draft.model.shape
        step = replace(unchanged(shape), stream=rotation(shape.n_embd, rng))
        if self.within_heads:
            heads = tuple(
                tuple(_rotated(copy, rng) for copy in block if copy is not None) for block in step.heads
            )
            step = replace(step, heads=heads)
        return draft.then(step)


def rotation(n: int, rng: np.random.Generator) -> Array:
    """A random orthogonal matrix that leaves the vector of ones where it is: [n, n].

    It is drawn uniformly (Haar) from all of them.
    """
    basis = centred_basis(n)
    mean = np.full((n, n), 1 / n)
    return np.asarray(mean + basis @ orthogonal(n - 1, rng) @ basis.T)


def orthogonal(n: int, rng: np.random.Generator) -> Array:
    """A random orthogonal matrix, drawn uniformly: [n, n].

    Q of the QR decomposition of a Gaussian matrix, with the signs of the diagonal of R (Mezzadri 2007).
    """
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return np.asarray(q * np.where(np.diag(r) < 0, -1.0, 1.0))


def _rotated(copy: HeadCopy, rng: np.random.Generator) -> HeadCopy:
    matching, carried = (orthogonal(len(copy.query), rng) for _ in range(2))
    return replace(copy, query=matching, key=matching, value=carried, output=carried)
