"""Models as files: written whole or not at all, read without running anything."""

from handcraft.formats.checkpoint import Checkpoint, fill, is_checkpoint, load, read_checkpoint, save
from handcraft.formats.folder import check_target, write_file
from handcraft.formats.writers import FORMATS

__all__ = [
    "FORMATS",
    "Checkpoint",
    "check_target",
    "fill",
    "is_checkpoint",
    "load",
    "read_checkpoint",
    "save",
    "write_file",
]
