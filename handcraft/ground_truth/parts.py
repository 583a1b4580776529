"""The parts of the ground truth of a model, in the order in which they are written."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from handcraft.errors import GroundTruthError
from handcraft.ground_truth import freeze
from handcraft.ground_truth.causal import part as causal
from handcraft.ground_truth.circuit import part as circuit
from handcraft.ground_truth.components import part as components
from handcraft.ground_truth.features import part as features
from handcraft.ground_truth.part import Part
from handcraft.ground_truth.values import part as values

PARTS: tuple[Part, ...] = (
    values.PART,
    circuit.PART,
    causal.PART,
    features.PART,
    components.PART,
    freeze.PART,
)


def chosen_parts(names: Sequence[str] | None) -> tuple[Part, ...]:
    """The parts of these names, each once and in order; all of them for None.

    Raises:
        GroundTruthError: there is no part of a name, or no name.
    """
    if names is None:
        return PARTS
    known = [part.name for part in PARTS]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        near = get_close_matches(unknown[0], known, n=1) if unknown else []
        raise GroundTruthError(
            f"there is no ground truth called {unknown[0]!r}" if unknown else "nothing is asked for",
            fix=f"did you mean {near[0]}?"
            if near
            else f"ask for one or several of: {', '.join(known)}",
        )
    return tuple(part for part in PARTS if part.name in names)
