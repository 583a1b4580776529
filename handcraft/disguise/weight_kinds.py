"""Statistics of weights, by kind of tensor: how like those of a trained GPT-2 they are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import sqrt

import numpy as np

from handcraft.model import Model
from handcraft.model.layers.attention import Array


@dataclass(frozen=True)
class Initial:
    """How a kind of tensor is initialized.

    Args:
        base: the standard deviation of the normal distribution.
        by_depth: whether it is divided by the root of the number of residual layers, two a block.
    """

    base: float
    by_depth: bool = False

    def deviation(self, n_layer: int) -> float:
        """The standard deviation in a model of so many blocks."""
        return self.base / sqrt(2 * n_layer) if self.by_depth else self.base


INITIAL = {
    "wte.weight": Initial(0.02),
    "wpe.weight": Initial(0.01),
    "attn.c_attn.weight": Initial(0.02),
    "attn.c_proj.weight": Initial(0.02, by_depth=True),
    "mlp.c_fc.weight": Initial(0.02),
    "mlp.c_proj.weight": Initial(0.02, by_depth=True),
}
"""The standard deviations with which the published GPT-2 is initialized.

0.02 for matrices and the token embedding and 0.01 for positions: openai/gpt-2, src/model.py, `conv1d`,
`wte` and `wpe`. Residual layers are scaled by the root of their number: Radford et al. 2019, section
2.3.
"""

GAINS = ("ln_1.weight", "ln_2.weight", "ln_f.weight")
"""What is initialized to 1."""


@dataclass(frozen=True)
class Statistics:
    """What is measured of all tensors of a kind together.

    Args:
        kind: the name without its block.
        deviation: the standard deviation of all numbers.
        zeros: the share of numbers that are 0.
        kurtosis: the excess kurtosis: 0 of a normal distribution, large where few numbers are far out.
        wanted: the standard deviation of GPT-2's initialization; None for gains.
    """

    kind: str
    deviation: float
    zeros: float
    kurtosis: float
    wanted: float | None


def weight_statistics(model: Model) -> tuple[Statistics, ...]:
    """The statistics of every kind of tensor, in the order of the checkpoint."""
    kinds: dict[str, list[Array]] = defaultdict(list)
    for name, tensor in model.tensors.items():
        kind = name.split(".", 2)[-1] if name.startswith("h.") else name
        if kind in INITIAL or kind in GAINS:
            kinds[kind].append(np.asarray(tensor, dtype=np.float64).ravel())
    return tuple(
        _of(kind, np.concatenate(kinds[kind]), model.shape.n_layer)
        for kind in (*INITIAL, *GAINS)
        if kind in kinds
    )


def _of(kind: str, values: Array, n_layer: int) -> Statistics:
    centred = values - values.mean()
    variance = float(np.square(centred).mean())
    fourth = float(np.square(np.square(centred)).mean())
    wanted = INITIAL[kind].deviation(n_layer) if kind in INITIAL else None
    return Statistics(
        kind,
        sqrt(variance),
        float((values == 0).mean()),
        fourth / variance**2 - 3 if variance > 0 else 0.0,
        wanted,
    )
