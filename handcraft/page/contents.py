"""What a page shows: a model, and as much as is known of where its numbers come from."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from handcraft.circuits import Circuits, Encoding
from handcraft.circuits.lifetimes import lifetimes
from handcraft.compiler import Compiled
from handcraft.errors import ModelError
from handcraft.formats import Checkpoint
from handcraft.formats.manifest.manifest import LayoutRow, layout_rows
from handcraft.formats.manifest.served import served_runs
from handcraft.language import Program
from handcraft.model import Model
from handcraft.origin import Origin, Place
from handcraft.proofs import CERTIFICATE, NotCertified, Proof, other_files, stated_in, statement_of
from handcraft.subject import Subject
from handcraft.weights.layout import UNMIRRORED

Statement: TypeAlias = dict[str, Any]

NOT_TRIED = "no proof was tried"
"""What a page says where there is no verdict."""


@dataclass(frozen=True)
class Stored:
    """A subspace of the residual stream, and where it is stored.

    Args:
        name: what is stored.
        encoding: how, as `Encoding` names it.
        first: its first dimension.
        width: how many dimensions it has; where it is mirrored, as many follow with the opposites.
        is_mirrored: whether every dimension has an opposite.
        values: its values in order; None where they are not known or are the numbers from 0.
        born: the first state of the stream that has it, as `lifetimes` counts them; None if unknown.
    """

    name: str
    encoding: str
    first: int
    width: int
    is_mirrored: bool
    values: tuple[str, ...] | None = None
    born: int | None = None


@dataclass(frozen=True)
class Source:
    """The file in which the program is written."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """What a page shows.

    Args:
        known: the model, and what is known of it.
        origins: every origin that a weight serves; `served` refers to them by number.
        served: for each tensor, runs of weights with their origins, as `served_runs` gives them.
        stored: the subspaces of the residual stream.
        statement: what the program means, as a certificate states it; None where that is not known.
        source: the file of the program, where it may be shown.
        proof: what was proved of exactly these files; None where nothing was tried.
        why_no_meaning: why there is no statement.
        why_no_proof: what to say where there is no proof.
        example: a prompt to begin with; "" for any.
    """

    known: Subject
    origins: tuple[Origin, ...] = ()
    served: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    stored: tuple[Stored, ...] = ()
    statement: Statement | None = None
    source: Source | None = None
    proof: Proof | None = None
    why_no_meaning: str = ""
    why_no_proof: str = NOT_TRIED
    example: str = ""

    @property
    def model(self) -> Model:
        """The model that the page runs."""
        assert self.known.model is not None
        return self.known.model

    @property
    def rules(self) -> tuple[Origin, ...]:
        """The rules of the statement; without one, all rules as they are written."""
        meaning = self.known.meaning
        if self.statement is None or meaning is None:
            return tuple(map(Origin, self.known.rules))
        return tuple(rule.origin for rule in meaning.rules)

    @property
    def places(self) -> tuple[Place | None, ...]:
        """Where each node of the statement was written, if the file of the program is shown."""
        meaning = self.known.meaning
        if self.statement is None or self.source is None or meaning is None:
            return ()
        return tuple(node.place for node in meaning.order)

    @property
    def looks_at(self) -> dict[str, str]:
        """For the name of each head, how it says where it attends."""
        circuits = self.known.circuits
        blocks = () if circuits is None else circuits.blocks
        return {head.name: head.attends.label for block in blocks for head in block.heads}

    @property
    def sees_last(self) -> bool:
        """Whether the program means something after a longer text too, by its last tokens.

        That is so where every text is an allowed prompt, and the model sees as many tokens.
        """
        meaning = self.known.meaning
        if meaning is None or (meaning.promise is not None and meaning.promise.refuses_some):
            return False
        return meaning.context == self.model.shape.n_positions

    def with_example(self, example: str | None) -> Contents:
        """The same, with a prompt to begin with."""
        return replace(self, example=example or "")


def of_compiled(
    compiled: Compiled,
    title: str | None = None,
    *,
    proof: Proof | None = None,
    means: Program | None = None,
) -> Contents:
    """What is known of a program that was compiled here: everything.

    Args:
        compiled: what `compile_program` gave.
        title: what to call the page; by default the name of the program's file.
        proof: what was proved of it.
        means: what circuits that were laid out by hand are meant to predict.
    """
    program = compiled.source if isinstance(compiled.source, Program) else means
    numbers: dict[Origin, int] = {}
    served = served_runs(compiled.placement, lambda origin: numbers.setdefault(origin, len(numbers)))
    statement: Statement | None = None
    why = "these circuits were laid out by hand, so there are no rules to compare with"
    if program is not None:
        statement, why = _stated(lambda: statement_of(program))
    source = _source_of(program)
    known = replace(
        compiled.subject,
        name=title or (Path(source.name).stem if source else "rules"),
        meaning=program.meant if program is not None and statement is not None else None,
    )
    return Contents(
        known,
        tuple(numbers),
        served,
        _stored(known, layout_rows(compiled.layout)),
        statement,
        source,
        proof,
        why,
    )


def of_checkpoint(checkpoint: Checkpoint) -> Contents:
    """What is known of a compiled folder: everything but the text of its program's file."""
    known, manifest = checkpoint.subject, checkpoint.manifest
    statement, why = _stated(lambda: _stated_by(checkpoint))
    proof, why_no_proof = manifest.proof, NOT_TRIED
    if proof is not None and (changed := other_files(checkpoint.folder)):
        proof, why_no_proof = None, f"these are not the files that were judged: {changed}"
    return Contents(
        replace(known, name=checkpoint.folder.resolve().name or "model"),
        checkpoint.listed_origins,
        manifest.weights,
        _stored(known, manifest.layout),
        statement,
        None,
        proof,
        why,
        why_no_proof,
    )


def of_foreign(
    known: Subject, folder: Path, *, proof: Proof | None = None, why_no_proof: str = NOT_TRIED
) -> Contents:
    """What is known of a GPT-2 that was made elsewhere: its weights, and what its certificate states.

    Args:
        known: the model.
        folder: where it was loaded from.
        proof: what its certificate proves.
        why_no_proof: what to say where there is none.
    """
    statement, why = None, NO_MANIFEST
    if known.meaning is not None:
        statement, why = _stated(lambda: stated_in(folder / CERTIFICATE))
    return Contents(
        known, statement=statement, proof=proof, why_no_meaning=why, why_no_proof=why_no_proof
    )


NO_MANIFEST = (
    "the folder has neither handcraft.json nor a certificate that fits its model, so only the weights "
    "are known, and not what they are for"
)


def _stated_by(checkpoint: Checkpoint) -> Statement:
    """What a folder states that its model means.

    Raises:
        NotCertified: it states nothing.
    """
    if isinstance(checkpoint.source, Program):
        return statement_of(checkpoint.source)
    _ = checkpoint.meant  # raises where that is another statement than handcraft.json is about
    return stated_in(checkpoint.folder / CERTIFICATE)


def _stated(state: Callable[[], Statement]) -> tuple[Statement | None, str]:
    """What a program means; else None, and why that is not known."""
    try:
        return state(), ""
    except NotCertified as error:
        return None, str(error)


def _born(circuits: Circuits, n_layer: int) -> dict[str, int]:
    """The first state that has each subspace; none where a block was spread over several layers."""
    if len(circuits.blocks) != n_layer:
        return {}
    return {subspace.name: life.born for subspace, life in lifetimes(circuits).items()}


def _stored(known: Subject, rows: Iterable[LayoutRow]) -> tuple[Stored, ...]:
    """The subspaces of a layout.

    Where the circuits are not known, the values of a one-hot subspace are read from the names of its
    dimensions.
    """
    circuits, model = known.circuits, known.model
    assert model is not None
    subspaces = {} if circuits is None else {s.name: s for s in circuits.stream}
    born = {} if circuits is None else _born(circuits, model.shape.n_layer)
    unmirrored = {each.value for each in UNMIRRORED}
    found = []
    for row in rows:
        values: tuple[str, ...] | None = None
        subspace = subspaces.get(row.subspace)
        if subspace is not None:
            if subspace.values != tuple(range(len(subspace.values))):
                values = tuple(map(str, subspace.values))
        elif row.encoding == Encoding.ONE_HOT.value:
            values = tuple(each.removeprefix(f"{row.subspace} ") for each in row.dimensions)
        has_opposites = model.architecture.has_norm and row.encoding not in unmirrored
        found.append(
            Stored(
                row.subspace,
                row.encoding,
                row.first,
                row.width,
                has_opposites,
                values or None,
                born.get(row.subspace),
            )
        )
    return tuple(found)


def _source_of(program: Program | None) -> Source | None:
    """The file in which most of the rules are written, as Python read it when it ran it."""
    if program is None:
        return None
    files = [rule.place.file for rule in program.rules if rule.place is not None]
    if not files:
        return None
    file = max(sorted(set(files)), key=files.count)
    lines = linecache.getlines(file)
    return Source(Path(file).name, tuple(line.rstrip("\r\n") for line in lines)) if lines else None


def predicts_nothing(where: object) -> ModelError:
    """The error for a model that computes values: a page is about predictions."""
    return ModelError(
        "the model computes values and predicts no tokens, and a page shows predictions",
        where=where,
        fix="name a program with rules; `handcraft run` prints the values of this one",
    )
