"""What the ideal circuits store in every state of the residual stream, on some texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Circuits, Subspace
from handcraft.circuits.ideal import embed, run_block
from handcraft.circuits.ideal_heads import Numbers
from handcraft.circuits.prefixes import Prefixes
from handcraft.circuits.resolve import resolve

Ids = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class IdealStates:
    """The exact numbers of every state.

    Args:
        states: of each state, 0 the embedding and then one after each half of each block, the numbers
            of every subspace: [prefix, width].
        prefixes: the distinct prefixes of the texts.
    """

    states: tuple[Numbers, ...]
    prefixes: Prefixes

    def numbers(self, state: int, subspace: Subspace) -> Array:
        """What a subspace stores in a state, as float64: [text, position, width]."""
        exact = self.states[state][subspace]
        found: Array = np.asarray(exact.tops, dtype=np.float64) / exact.below
        return found[self.prefixes.of]

    def of_state(self, state: int) -> Mapping[Subspace, Array]:
        """What every subspace stores in a state: [text, position, width] each."""
        return {subspace: self.numbers(state, subspace) for subspace in self.states[state]}


def ideal_states(circuits: Circuits, texts: Ids) -> IdealStates:
    """Run the ideal circuits on some texts, and keep every state.

    Args:
        circuits: the circuits.
        texts: places in the vocabulary, [text, position].
    """
    resolved = resolve(circuits)
    width = max((subspace.width for subspace in resolved.stream), default=1)
    prefixes = Prefixes.of_texts(texts, causal=resolved.causal, width=width)
    states: list[Numbers] = [embed(resolved, prefixes)]
    for block in resolved.blocks:
        heads = replace(block, neurons=(), neuron_bias=())
        neurons = replace(block, heads=(), attention_bias=())
        for half in (heads, neurons):
            states.append(run_block(half, states[-1], prefixes))
    return IdealStates(tuple(states), prefixes)
