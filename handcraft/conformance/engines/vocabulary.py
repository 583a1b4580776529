"""The tokens of a model, as its Hugging Face folder names them."""

from __future__ import annotations

from pathlib import Path

from handcraft.formats.foreign_files import read_object
from handcraft.formats.huggingface.tokenizer import read_vocabulary
from handcraft.vocabulary import Vocabulary


def vocabulary_in(folder: Path) -> Vocabulary:
    """The tokens of the model in a Hugging Face folder; the one that begins or pads texts is none."""
    config = read_object(folder / "config.json")
    return read_vocabulary(folder, config["vocab_size"], config["pad_token_id"], config["bos_token_id"])
