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
        GroundTruthError: a weight that is not 0 would not be frozen.
    """
    part = CompiledPart.of(subject.model)
    masks = part.masks()
    for name, tensor in subject.model.tensors.items():
        left_out = np.argwhere((tensor != 0) & ~masks[name])
        is_norm = "ln_" in name or "norm." in name  # gains of free dimensions serve it as a whole
        if len(left_out) and not is_norm:
            raise GroundTruthError(
                f"{name}{left_out[0].tolist()} is not 0, and not in the compiled part",
                where=subject.name,
                fix="compile the program again, and leave its weights as they are",
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
)
