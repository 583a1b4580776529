"""Models as files: written completely or not at all, and read without executing anything."""

from handcraft.formats.checkpoint import Checkpoint, is_checkpoint, load, read_checkpoint, subject_of
from handcraft.formats.compile_again import compile_again
from handcraft.formats.folder import check_place, check_target, write_file
from handcraft.formats.huggingface.disagreements import disagreements
from handcraft.formats.verify_folder import verify_folder
from handcraft.formats.write_folder import fill, save
from handcraft.formats.writers import FORMATS

__all__ = [
    "FORMATS",
    "Checkpoint",
    "check_place",
    "check_target",
    "compile_again",
    "disagreements",
    "fill",
    "is_checkpoint",
    "load",
    "read_checkpoint",
    "save",
    "subject_of",
    "verify_folder",
    "write_file",
]
