"""freeze.safetensors: for each tensor, which of its numbers belong to the compiled part."""

from __future__ import annotations

import numpy as np

from handcraft.errors import GroundTruthError
from handcraft.formats.tensors.safetensors_file import safetensors_bytes
from handcraft.ground_truth.part import Made, Part, Wanted
from handcraft.ground_truth.subject import LaidOut
from handcraft.weights.compiled_part import CompiledPart

FILE = "freeze.safetensors"


def make_freeze(subject: LaidOut, wanted: Wanted) -> Made:
    """The masks of a model: true at numbers that training must not change.

    Raises:
        GroundTruthError: a weight that has an origin would not be frozen.
    """
    part = CompiledPart.of(subject.model)
    masks = part.masks()
    for name, served in subject.weights.origins.items():
        left_out = [index for index in served if not masks[name][index]]
        if left_out and "ln_" not in name:  # gains of free dimensions serve LayerNorm as a whole
            raise GroundTruthError(
                f"{name}{list(left_out[0])} has an origin, but is not in the compiled part",
                fix="ask for other parts",
            )
    total = sum(mask.size for mask in masks.values())
    frozen = sum(int(np.count_nonzero(mask)) for mask in masks.values())
    free = int(np.count_nonzero(~part.dimensions))
    summary = {"frozen": frozen, "of": total, "free_dimensions": free}
    line = (
        f"{frozen:,} of {total:,} numbers frozen, {free:,} of {len(part.dimensions):,} dimensions free"
    )
    return Made({FILE: safetensors_bytes(masks, {"true": "frozen"})}, summary, (line,))


PART = Part(
    "freeze",
    "which numbers training must not change",
    (FILE,),
    make_freeze,
    "the compiled part of a disguise is spread over all of its dimensions, so none is free",
)
