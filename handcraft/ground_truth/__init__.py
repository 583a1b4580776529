"""What is true of a compiled model, in files to judge interpretability tools with."""

from handcraft.ground_truth.disguised import of_disguise
from handcraft.ground_truth.part import Made, Part, Wanted
from handcraft.ground_truth.parts import PARTS
from handcraft.ground_truth.subject import LaidOut, of_checkpoint, of_compiled
from handcraft.ground_truth.values.located import Located, locate
from handcraft.ground_truth.write_folder import MANIFEST, Written, write_ground_truth

__all__ = [
    "MANIFEST",
    "PARTS",
    "LaidOut",
    "Located",
    "Made",
    "Part",
    "Wanted",
    "Written",
    "locate",
    "of_checkpoint",
    "of_compiled",
    "of_disguise",
    "write_ground_truth",
]
