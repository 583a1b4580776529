"""Make a model look trained without changing an answer, with an exact map from the original."""

from typing import TYPE_CHECKING

from handcraft.on_use import imported_on_use

if TYPE_CHECKING:
    from handcraft.disguise.apply_transforms import Disguise, disguise
    from handcraft.disguise.carried import Carried, HeadCopy, Place
    from handcraft.disguise.moved import carried_weights
    from handcraft.disguise.record import Record, read_record
    from handcraft.disguise.transforms.distract import Distract
    from handcraft.disguise.transforms.match import Match
    from handcraft.disguise.transforms.noise import Noise
    from handcraft.disguise.transforms.pad import Pad
    from handcraft.disguise.transforms.permute import Permute
    from handcraft.disguise.transforms.rotate import Rotate
    from handcraft.disguise.transforms.split import Split
    from handcraft.disguise.transforms.superpose import Superpose
    from handcraft.disguise.weight_kinds import weight_statistics
else:
    __getattr__, __dir__ = imported_on_use(
        __name__,
        {
            "handcraft.disguise.carried": ("Carried", "HeadCopy", "Place"),
            "handcraft.disguise.apply_transforms": ("Disguise", "disguise"),
            "handcraft.disguise.moved": ("carried_weights",),
            "handcraft.disguise.record": ("Record", "read_record"),
            "handcraft.disguise.transforms.distract": ("Distract",),
            "handcraft.disguise.transforms.match": ("Match",),
            "handcraft.disguise.transforms.noise": ("Noise",),
            "handcraft.disguise.transforms.pad": ("Pad",),
            "handcraft.disguise.transforms.permute": ("Permute",),
            "handcraft.disguise.transforms.rotate": ("Rotate",),
            "handcraft.disguise.transforms.split": ("Split",),
            "handcraft.disguise.transforms.superpose": ("Superpose",),
            "handcraft.disguise.weight_kinds": ("weight_statistics",),
        },
    )

__all__ = [
    "Carried",
    "Disguise",
    "Distract",
    "HeadCopy",
    "Match",
    "Noise",
    "Pad",
    "Permute",
    "Place",
    "Record",
    "Rotate",
    "Split",
    "Superpose",
    "carried_weights",
    "disguise",
    "read_record",
    "weight_statistics",
]
