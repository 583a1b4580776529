"""The ground truth of a disguise is that of its original, moved: which model that is, and the map.

What is known of a model is in its circuits and its layout, and a disguise has no layout. So everything
is derived from the original, moved by the map of the disguise, and checked by running the disguise.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Subspace
from handcraft.compiler import compile_program
from handcraft.disguise.carried import Carried
from handcraft.disguise.record import read_record
from handcraft.errors import GroundTruthError, HandcraftError
from handcraft.formats import Checkpoint, save
from handcraft.ground_truth.circuit.carried_edges import CarriedEdges
from handcraft.ground_truth.stream.featurizer import Array, Featurizer
from handcraft.ground_truth.subject import LaidOut, of_compiled
from handcraft.model import Model
from handcraft.proofs.certificate import sha256


@dataclass(frozen=True, eq=False)
class Disguised(LaidOut):
    """A disguise, and what is known of its original.

    The circuits, the layout and the layers are those of the original.

    Args:
        original: the original.
        carried: the map from it.
    """

    original: LaidOut = field(kw_only=True, repr=False)
    carried: Carried = field(kw_only=True, repr=False)

    @property
    def edges(self) -> CarriedEdges:
        """Which edges of the original its edges were made of."""
        return CarriedEdges(self.carried)

    def done(self, done: int) -> int:
        """A state of the original as one of the disguise; both count halves of blocks."""
        if not done:
            return 0
        block, is_after_mlp = divmod(done - 1, 2)
        return 2 * self.carried.block(block) + 1 + is_after_mlp

    def reading(self, matrix: npt.NDArray[np.floating]) -> Array:
        """What reads the disguise as a matrix reads the original, [n_embd, width].

        Distractors write into the mean where LayerNorm removes it, so nothing is read from the mean.
        """
        moved = self.carried.reading(matrix.T).T
        if self.model.architecture.has_norm:
            moved = moved - moved.mean(axis=0)
        return np.asarray(moved, dtype=np.float64)

    def featurizer(self, subspaces: Sequence[Subspace]) -> Featurizer:
        """How subspaces are read from the stream of the disguise, and written to it."""
        before = super().featurizer(subspaces)
        basis = self.carried.direction(before.basis.T).T
        if self.model.architecture.has_norm:
            basis = basis - basis.mean(axis=0)
        return Featurizer(
            self.reading(before.read),
            before.constant,
            np.asarray(self.carried.direction(before.write.T).T, dtype=np.float64),
            spanned=np.asarray(np.linalg.qr(basis)[0], dtype=np.float64),
        )


def of_disguise(
    original: LaidOut,
    model: Model,
    carried: Carried,
    *,
    name: str = "model",
    folder: Path | None = None,
) -> Disguised:
    """What is known of a disguise.

    Args:
        original: what is known of the model that was disguised.
        model: the disguise.
        carried: the map from the one to the other.
        name: what to call it.
        folder: where it was written.

    Raises:
        GroundTruthError: the map is not of these two models, or the original is a disguise.
    """
    if isinstance(original, Disguised):
        raise GroundTruthError(
            f"{original.name} is a disguise itself",
            where=name,
            fix="give the first original, and the map `first.carried.then(second.carried)`",
        )
    if carried.old != original.model.shape or carried.new != model.shape:
        raise GroundTruthError(
            f"the map leads from {carried.old} to {carried.new}, and the models have the sizes "
            f"{original.model.shape} and {model.shape}",
            where=name,
            fix="give the original of this disguise",
        )
    known = {name: getattr(original, name) for name in LaidOut.__dataclass_fields__}
    known |= {"name": name, "model": model, "compiled": None, "folder": folder}
    return Disguised(**known, original=original, carried=carried)


def of_disguised_folder(checkpoint: Checkpoint) -> Disguised:
    """What is known of a folder that `handcraft disguise` wrote.

    Its rules or circuits are compiled again; that these are the original is known by the hashes of its
    files.

    Raises:
        GroundTruthError: another model comes out.
    """
    record = read_record(checkpoint.folder)
    model = checkpoint.model
    for dtype in dict.fromkeys((model.dtype.name, "float32")):
        with suppress(HandcraftError), TemporaryDirectory() as temporary:
            compiled = compile_program(
                checkpoint.source,
                architecture=model.architecture,
                dtype=dtype,  # type: ignore[arg-type]
                n_positions=record.carried.old.n_positions,
            )
            folder = Path(temporary) / "model"
            save(compiled, folder)
            made = {name: sha256(folder / name) for name in record.original if (folder / name).exists()}
            if made == dict(record.original):
                found = of_disguise(
                    of_compiled(compiled).stated_in(checkpoint),
                    model,
                    record.carried,
                    name=checkpoint.folder.resolve().name,
                    folder=checkpoint.folder,
                )
                return replace(found, weights=checkpoint.weights)
    raise GroundTruthError(
        "the circuits of this disguise are not known: compiling what it means again does not give the "
        "files of its original",
        where=checkpoint.folder,
        fix="in Python, give the original to `of_disguise`; or name it in place of the disguise",
    )
