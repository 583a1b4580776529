"""A model as a folder: its tensors, and handcraft.json, which says what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import overload

from handcraft.circuits import Circuits
from handcraft.compiler import compile_program
from handcraft.compiler.values.value_model import ValueModel
from handcraft.display import short_repr
from handcraft.errors import CheckpointError, HandcraftError
from handcraft.explain import Explanation, explain_prediction
from handcraft.formats.folder import MANIFEST
from handcraft.formats.foreign_files import contradiction, shown
from handcraft.formats.huggingface.config_json import CONFIG
from handcraft.formats.huggingface.read_repository import read_huggingface
from handcraft.formats.manifest.manifest import Manifest
from handcraft.formats.manifest.read_manifest import (
    check_shape,
    parse_manifest,
    read_architecture,
    read_manifest,
    read_prompts,
    read_source,
)
from handcraft.formats.manifest.served import Origins, read_served
from handcraft.formats.manifest.values import read_values
from handcraft.formats.read_raschka import is_raschka, read_raschka
from handcraft.formats.tensors.tensor_file import read_tensors
from handcraft.formats.writers import READ_BACK
from handcraft.language import Program, Prompts
from handcraft.language.meaning import Meaning
from handcraft.model import Model, Stored
from handcraft.origin import Origin
from handcraft.phrase import either, phrase
from handcraft.proofs import CERTIFICATE, NotCertified, StatedPrompts, read_meaning, stated_in
from handcraft.subject import Subject
from handcraft.vocabulary import Vocabulary
from handcraft.weights import Layout, Weight, Weights, read_stored


@short_repr
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a folder contains.

    Args:
        model: the model.
        source: what it means: the rules, or the circuits with every symbol replaced by its value.
        folder: its path.
        manifest: all of handcraft.json.
        listed_origins: what its weights may serve; handcraft.json refers to them by number.
        values: the model with how values are read from it; None where it predicts tokens.
    """

    model: Model
    source: Program | Circuits
    folder: Path
    manifest: Manifest = field(repr=False)
    listed_origins: tuple[Origin, ...] = field(repr=False)
    values: ValueModel | None = None

    def prompts(self, *, as_far_as_known: bool = False) -> Prompts | None:
        """Which texts are allowed prompts, where not all are.

        With `as_far_as_known`, what only Python code says is left out: a prompt that it refuses may be
        let through.

        Raises:
            CheckpointError: Python code says which are, or handcraft.json contradicts itself.
        """
        with form_checked(self.folder):
            return read_prompts(self.manifest, as_far_as_known=as_far_as_known)

    @cached_property
    def origins(self) -> Origins:
        """For each tensor, what every nonzero weight serves, by its index."""
        shapes = self.model.shape.tensors(self.model.architecture)
        with form_checked(self.folder):
            return read_served(self.manifest.weights, self.listed_origins, shapes)

    @property
    def weights(self) -> Weights:
        """Every weight explained: what its row and its column stand for, and the rules it serves."""
        source, manifest = self.source, self.manifest
        written = source.rules if isinstance(source, Program) else manifest.written
        return Weights(self.model, manifest.names, self.origins, tuple(map(str, written)))

    @property
    def layout(self) -> Layout | None:
        """Which dimensions store what; None where the circuits are not known."""
        circuits, shape, architecture = self.circuits, self.model.shape, self.model.architecture
        if circuits is None:
            return None
        layout = Layout(
            circuits.stream,
            shape.n_head,
            shape.n_embd,
            is_aligned=False,
            is_mirrored=architecture.is_mirrored,
            reuses=circuits.reuses,
        )
        if architecture.is_rotary:
            # Every row of the embedding ends in the constant and the fill, then zeros.
            constant, *fill = self.model.tensors["embed_tokens.weight"][0, layout.width :].tolist()
            layout = replace(
                layout,
                constant=int(constant),
                fill=tuple(int(number) for number in fill if number),
                own_head_dim=shape.head_dim,
            )
        first = {subspace.name: start for subspace, start in layout.start.items()}
        known = {row.subspace: row.first for row in self.manifest.layout}
        return layout if first == known else None

    @property
    def stored(self) -> tuple[Stored, ...]:
        """The values of the residual stream; none where the circuits are not known."""
        circuits, layout, shape = self.circuits, self.layout, self.model.shape
        if circuits is None or layout is None:
            return ()
        return read_stored(circuits, layout.read, shape.n_embd, shape.n_layer)

    @cached_property
    def meant(self) -> Meaning:
        """What the model is to compute: the rules that are stored, or what certificate.json states.

        Raises:
            NotCertified: the folder stores only the words of its rules.
        """
        if isinstance(self.source, Program):
            return self.source.meant
        stated = stated_in(self.folder / CERTIFICATE)
        if stated["vocabulary"] != list(self.model.vocabulary.tokens):
            raise NotCertified("the certificate is about other tokens than those of the model")
        return read_meaning(stated, self.manifest.words, self.prompts(as_far_as_known=True))

    @property
    def subject(self) -> Subject:
        """All that is known of the model."""
        meaning = None
        with suppress(NotCertified):
            meaning = self.meant
        return Subject(
            self.folder.name,
            meaning,
            self.circuits,
            self.model,
            self.weights,
            self.stored,
            predicts=self.values is None,
        )

    @overload
    def explain(self, prompt: str | Sequence[str], /) -> Explanation: ...

    @overload
    def explain(self, tensor: str, /, *index: int) -> Weight: ...

    def explain(self, what: str | Sequence[str], /, *index: int) -> Explanation | Weight:
        """Why the model answers what it answers on a prompt; or what one weight stands for.

        As `Compiled.explain`. Of rules over expressions a folder stores what certificate.json states.
        Without that file the values are those that the circuits compute.
        """
        if index or (isinstance(what, str) and what in self.model.tensors):
            return self.weights.weight(what, index)  # type: ignore[arg-type]
        return explain_prediction(self.subject, what)

    @cached_property
    def circuits(self) -> Circuits | None:
        """The circuits of the model; those of patterns are compiled again, None if others come out.

        None of a disguised model too: its weights are no longer where its circuits say.
        """
        if self.manifest.disguised:
            return None
        if isinstance(self.source, Circuits):
            return self.source
        with suppress(HandcraftError):
            circuits = compile_program(self.source, architecture=self.model.architecture).circuits
            heads = [[head.name for head in block.heads] for block in circuits.blocks]
            if heads == [[head.name for head in block.heads] for block in self.manifest.names.blocks]:
                return circuits
        return None


def load(folder: str | Path) -> Model:
    """The model in a folder: one that was compiled, any GPT-2 as Hugging Face saves it, or Raschka's.

    Raises:
        CheckpointError: files are missing, damaged or foreign, or contradict each other.
    """
    path = Path(folder)
    if is_raschka(path):
        return read_raschka(path)
    if (path / CONFIG).exists() and not is_checkpoint(path):
        return read_huggingface(path)
    return read_checkpoint(path).model


def subject_of(folder: str | Path) -> Subject:
    """All that is known of the model in a folder; of a foreign one, what its certificate states.

    Raises:
        CheckpointError: files are missing, damaged or foreign, or contradict each other.
    """
    path = Path(folder)
    if is_checkpoint(path):
        return read_checkpoint(path).subject
    model, meaning = load(path), None
    with suppress(NotCertified):
        stated = stated_in(path / CERTIFICATE)
        if set(stated["vocabulary"]) <= set(model.vocabulary.tokens):
            meaning = read_meaning(stated, promise=StatedPrompts.read(stated))
    return Subject(path.resolve().name, meaning, model=model)


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """The model in a folder, with what it means and where every weight comes from.

    Raises:
        CheckpointError: files are missing, damaged or foreign, or contradict each other.
    """
    path = Path(folder)
    data = parse_manifest(path)
    with form_checked(path):
        manifest, origins = read_manifest(data)
        architecture = read_architecture(manifest.architecture, disguised=manifest.disguised)
        vocabulary = Vocabulary(manifest.vocabulary, ids=manifest.token_ids)
        shape = manifest.shape
        check_shape(shape, vocabulary)
        source = read_source(manifest)
    if (
        source.vocabulary.tokens != vocabulary.tokens
        or source.context > shape.n_positions - architecture.is_rotary
    ):
        what = f"{MANIFEST} describes a program whose vocabulary or context differs from its model"
        raise contradiction(what, path / MANIFEST)
    if isinstance(source, Circuits) and source.causal is not architecture.causal:
        masked, unmasked = ("circuits", "model") if source.causal else ("model", "circuits")
        what = f"{MANIFEST} gives a causal mask to the {masked}, and none to the {unmasked}"
        raise contradiction(what, path / MANIFEST)
    if manifest.format not in READ_BACK:
        raise CheckpointError(
            f"the folder was written as {shown(manifest.format)}, for other tools to read",
            where=path,
            fix=phrase("compile the program again with ", either("format", READ_BACK)),
        )
    tensors = read_tensors(path, shape, architecture)
    model = Model(architecture, shape, vocabulary, tensors)
    with form_checked(path):
        values = read_values(manifest, model, source)
    return Checkpoint(model, source, path, manifest, origins, values)


@contextmanager
def form_checked(folder: Path) -> Iterator[None]:
    """Errors about the form of handcraft.json, as errors of the folder."""
    try:
        yield
    except CheckpointError:
        raise
    except HandcraftError as error:
        problems = "; ".join(problem.what for problem in getattr(error, "problems", (error,)))
        what = f"{MANIFEST} contradicts itself: {problems}"
        raise contradiction(what, folder / MANIFEST) from error
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise contradiction(f"{MANIFEST} is malformed: {error}", folder / MANIFEST) from error


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder has a manifest, as those that handcraft wrote."""
    return (folder / MANIFEST).is_file()
