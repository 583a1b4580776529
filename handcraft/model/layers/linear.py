"""The matrices of a block as they run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft.model.layers.attention import Array
from handcraft.model.layers.product import product

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Linear:
    """A matrix and a bias.

    Args:
        weight: [in, out].
        bias: [all out].
        rows: which of the inputs are read; None for all.
        columns: the indices of the computed numbers among the outputs; None for all.
    """

    weight: Array
    bias: Array
    rows: Indices | None = None
    columns: Indices | None = None

    def __call__(self, x: Array) -> Array:
        """[.., all in] -> [.., all out]."""
        flat = x.reshape(-1, x.shape[-1])
        if self.rows is not None:
            flat = flat[:, self.rows]
        out = product(flat, self.weight)
        if self.columns is None:
            out += self.bias
        else:
            computed, out = out, np.tile(self.bias, (len(flat), 1))
            out[:, self.columns] = computed + self.bias[self.columns]
        return out.reshape(*x.shape[:-1], len(self.bias))


@dataclass(frozen=True, eq=False)
class Block:
    """The matrices that a block runs.

    Args:
        c_attn: to queries, keys and values, of all heads each.
        attention: W_O, from the outputs of the heads.
        c_fc: to the sums of the hidden units; of gated units all gates come first, then what they gate.
        mlp: from the hidden units; None where there are none.
        score_dims: how many numbers of each query and key are multiplied, the first ones; None for all.
        value_dims: how many numbers of each value `attention` reads, the first ones; None for all.
    """

    c_attn: Linear
    attention: Linear
    c_fc: Linear | None
    mlp: Linear | None
    score_dims: int | None = None
    value_dims: int | None = None

    @property
    def attends(self) -> bool:
        """Whether any output of the heads is read; otherwise attention writes only its bias."""
        return self.attention.weight.size > 0

    @property
    def has_units(self) -> bool:
        """Whether any hidden unit is read; else an MLP, where there is one, writes its bias alone."""
        return self.mlp is not None and self.mlp.weight.size > 0
