"""What is disguised, and everything known of it: its meaning, its certificate, its origins."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from handcraft.circuits import Circuits
from handcraft.compiler import Compiled
from handcraft.disguise.record import Record, read_record
from handcraft.errors import ModelError
from handcraft.formats import Checkpoint, is_checkpoint, load, read_checkpoint, save
from handcraft.formats.folder import DISGUISE
from handcraft.formats.foreign_files import read_object
from handcraft.formats.huggingface.config_json import CONFIG
from handcraft.formats.read_raschka import is_raschka
from handcraft.language import Program, Prompts
from handcraft.model import Model
from handcraft.proofs import CERTIFICATE, NotCertified, stated_in
from handcraft.proofs.certificate import sha256

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
)
"""The files of a foreign folder that say how text becomes ids; they are copied as they are."""

Data = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Original:
    """A model, and what is known of it.

    Args:
        model: the model.
        name: of its folder or its program, for messages.
        checkpoint: what its handcraft.json says; None where there is none.
        prompts: which texts are allowed; None where all are, or the rules say it.
        stated: what its certificate states; None where it has none.
        files: the hashes of its files, by name.
        copied: files of a foreign folder that are copied as they are.
        config: what config.json of a foreign folder says.
        earlier: what disguise.json of the folder says, where it is disguised already.
    """

    model: Model
    name: str
    checkpoint: Checkpoint | None = None
    prompts: Prompts | None = None
    stated: Data | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    copied: Mapping[str, bytes] = field(default_factory=dict)
    config: Data | None = None
    earlier: Record | None = None

    @property
    def source(self) -> Program | Circuits | None:
        """What the model means, where that is known."""
        return None if self.checkpoint is None else self.checkpoint.source

    @property
    def length(self) -> int:
        """The most tokens of a prompt after which an answer is promised: for patterns all positions."""
        positions = self.model.shape.n_positions
        return self.source.context if isinstance(self.source, Circuits) else positions


def original_of(what: Model | Compiled | Checkpoint | Path | str) -> Original:
    """What is known of a model.

    Args:
        what: a folder, one that was read, a compiled program, or a model of which nothing else is
            known.

    Raises:
        CheckpointError: a folder cannot be read.
        ModelError: it computes values and predicts no tokens.
    """
    if isinstance(what, Model):
        return Original(what, "the model")
    if isinstance(what, Compiled):
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            save(what, folder)
            return _of_checkpoint(read_checkpoint(folder), "the program")
    if isinstance(what, Checkpoint):
        return _of_checkpoint(what, str(what.folder))
    path = Path(what)
    if is_checkpoint(path):
        return _of_checkpoint(read_checkpoint(path), str(path))
    model = load(path)
    if is_raschka(path):
        return Original(model, str(path))
    return Original(
        model,
        str(path),
        files=_hashes(path),
        copied={
            name: (path / name).read_bytes() for name in TOKENIZER_FILES if (path / name).is_file()
        },
        config=read_object(path / CONFIG),
        earlier=read_record(path) if (path / DISGUISE).exists() else None,
    )


def _of_checkpoint(checkpoint: Checkpoint, name: str) -> Original:
    if checkpoint.values is not None:
        raise ModelError(
            "the model computes values, which are read at dimensions of the residual stream that a "
            "disguise would move",
            where=name,
            fix="disguise a model that predicts tokens: a program with rules",
        )
    folder, stated = checkpoint.folder, None
    with suppress(NotCertified):
        stated = stated_in(folder / CERTIFICATE)
    assert isinstance(checkpoint.origins, dict)  # read now: the folder may be a temporary one
    return Original(
        checkpoint.model,
        name,
        checkpoint,
        checkpoint.prompts(as_far_as_known=True),
        stated,
        _hashes(folder),
        earlier=read_record(folder) if (folder / DISGUISE).exists() else None,
    )


def _hashes(folder: Path) -> dict[str, str]:
    """The hashes of the files that make the model."""
    names = sorted(path.name for path in folder.glob("*.safetensors") if path.name.startswith("model"))
    known = [*names, *(name for name in ("model.npz", CONFIG) if (folder / name).is_file())]
    return {name: sha256(folder / name) for name in known}
