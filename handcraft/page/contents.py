"""What a page shows: a model, and as much as is known of where its numbers come from."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from handcraft.circuits import Circuits, Encoding
from handcraft.circuits.lifetimes import lifetimes
from handcraft.compiler import Compiled, CompiledSequences
from handcraft.compiler.values.value_model import ValueModel
from handcraft.formats import Checkpoint
from handcraft.formats.manifest.manifest import LayoutRow, layout_rows
from handcraft.formats.manifest.served import served_runs
from handcraft.formats.stated_values import stated_values
from handcraft.language import Program
from handcraft.language.meaning import Meaning
from handcraft.model import Model
from handcraft.origin import Origin, Place
from handcraft.proofs import CERTIFICATE, NotCertified, Proof, other_files, stated_in, statement_of
from handcraft.subject import Subject

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
        width: how many dimensions it has; opposites, which may follow, are not counted.
        is_signed: whether a flag is stored as -1 and 1, and not as 0 and 1.
        is_small: whether a number is stored times 1/4096.
        values: its values in order; None where they are not known or are the numbers from 0.
        born: the first state of the stream that has it, as `lifetimes` counts them; None if unknown.
    """

    name: str
    encoding: str
    first: int
    width: int
    is_signed: bool
    is_small: bool
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
        wide: what the rules mean in as many positions as the model has, where these are more than the
            program is written for, and a text of them means something.
        values: the model and how values are read from it, of a model of values.
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
    wide: Statement | None = None
    values: ValueModel | None = None

    @property
    def model(self) -> Model:
        """The model that the page runs."""
        assert self.known.model is not None
        return self.known.model

    @cached_property
    def meaning(self) -> Meaning | None:
        """What the page compares the model with: the same as `wide`, or else as `statement`."""
        if self.statement is None or self.known.meaning is None:
            return None
        if self.wide is None:
            return self.known.meaning
        return self.known.meaning.for_length(self.model.context)

    @property
    def context(self) -> int:
        """For how many tokens the program is written; of a model alone, how many it has."""
        if self.known.meaning is not None:
            return self.known.meaning.context
        if self.known.circuits is not None:
            return self.known.circuits.context
        return self.model.context

    @property
    def rules(self) -> tuple[Origin, ...]:
        """The rules of the statement; without one, all rules as they are written."""
        if self.meaning is None:
            return tuple(map(Origin, self.known.rules))
        return tuple(rule.origin for rule in self.meaning.rules)

    @property
    def places(self) -> tuple[Place | None, ...]:
        """Where each node of the meaning was written, if the file of the program is shown."""
        if self.source is None or self.meaning is None:
            return ()
        return tuple(node.place for node in self.meaning.order)

    @property
    def looks_at(self) -> dict[str, str]:
        """For the name of each head, how it says where it attends."""
        circuits = self.known.circuits
        blocks = () if circuits is None else circuits.blocks
        return {head.name: head.attends.label for block in blocks for head in block.heads}

    @property
    def sees_last(self) -> bool:
        """Whether the program means something after a text longer than the model, by its last tokens.

        That is so where every text is an allowed prompt, and the rules are about as many tokens as the
        model sees.
        """
        meaning = self.known.meaning
        if meaning is None or not meaning.rules:
            return False
        if meaning.promise is not None and meaning.promise.refuses_some:
            return False
        return self.wide is not None or meaning.context == self.model.context

    def with_example(self, example: str | None) -> Contents:
        """The same, with a prompt to begin with."""
        return replace(self, example=example or "")


def of_compiled(
    compiled: Compiled | CompiledSequences,
    title: str | None = None,
    *,
    proof: Proof | None = None,
    means: Program | None = None,
) -> Contents:
    """What is known of a program or of expressions that were compiled here: everything.

    Args:
        compiled: what `compile_program` or `compile_sequences` gave.
        title: what to call the page; by default the name of the file.
        proof: what was proved of it.
        means: what circuits that were laid out by hand are meant to predict.
    """
    numbers: dict[Origin, int] = {}
    served = served_runs(compiled.placement, lambda origin: numbers.setdefault(origin, len(numbers)))
    known, wide, values = compiled.subject, None, None
    statement: Statement | None = None
    why = "these circuits were laid out by hand, so there are no rules to compare with"
    written: list[Place | None] = []
    if isinstance(compiled, CompiledSequences):
        values = compiled.values
        written = [output.place for output in compiled.outputs]
        statement, why = _stated(lambda: stated_values(compiled))
    elif (program := _program_of(compiled, means)) is not None:
        written = [rule.place for rule in program.rules]
        statement, why = _stated(lambda: statement_of(program))
        if statement is not None:
            known = replace(known, meaning=program.meant)
        if program is compiled.source:
            wide = _wide(program, compiled.model)
    if statement is None:
        known = replace(known, meaning=None)
    source = _source_of(written)
    plain = "rules" if values is None else "values"
    return Contents(
        replace(known, name=title or (Path(source.name).stem if source else plain)),
        tuple(numbers),
        served,
        _stored(known, layout_rows(compiled.plan.layout)),
        statement,
        source,
        proof,
        why,
        wide=wide,
        values=values,
    )


def _program_of(compiled: Compiled, means: Program | None) -> Program | None:
    """The rules that a model is compared with."""
    return compiled.source if isinstance(compiled.source, Program) else means


def of_checkpoint(checkpoint: Checkpoint) -> Contents:
    """What is known of a compiled folder: everything but the text of its program's file."""
    known, manifest, source = checkpoint.subject, checkpoint.manifest, checkpoint.source
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
        wide=_wide(source, checkpoint.model) if isinstance(source, Program) else None,
        values=checkpoint.values,
    )


def of_foreign(
    known: Subject, folder: Path, *, proof: Proof | None = None, why_no_proof: str = NOT_TRIED
) -> Contents:
    """What is known of a model that was made elsewhere: its weights, and what its certificate states.

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
    return _stated_of(checkpoint.values, stated_in(checkpoint.folder / CERTIFICATE))


def _stated_of(values: ValueModel | None, statement: Statement) -> Statement:
    """A statement about the outputs of a folder, in their order; or about what it predicts."""
    answer = statement["meaning"]["answer"]
    stated = {each["name"]: each for each in answer.get("values", ())}
    names = [] if values is None else [output.name for output in values.outputs]
    if sorted(stated) != sorted(names):
        raise NotCertified("the certificate of the folder is about other outputs")
    if not names:
        return statement
    ordered = {**answer, "values": [stated[name] for name in names]}
    return {**statement, "meaning": {**statement["meaning"], "answer": ordered}}


def _wide(program: Program, model: Model) -> Statement | None:
    """What patterns mean in all positions of a model that has more than the program is written for."""
    positions = model.context
    if not program.has_only_patterns or positions <= program.context:
        return None
    return _stated(lambda: statement_of(program.widened(positions)))[0]


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
    architecture = model.architecture
    found = []
    for row in rows:
        values: tuple[str, ...] | None = None
        subspace = subspaces.get(row.subspace)
        if subspace is not None:
            if subspace.values != tuple(range(len(subspace.values))):
                values = tuple(map(str, subspace.values))
        elif row.encoding == Encoding.ONE_HOT.value:
            values = tuple(each.removeprefix(f"{row.subspace} ") for each in row.dimensions)
        found.append(
            Stored(
                row.subspace,
                row.encoding,
                row.first,
                row.width,
                architecture.has_norm and row.encoding == Encoding.FLAG.value,
                architecture.is_mirrored and row.encoding == Encoding.SMALL.value,
                values or None,
                born.get(row.subspace),
            )
        )
    return tuple(found)


def _source_of(places: Iterable[Place | None]) -> Source | None:
    """The file in which most rules or outputs are written, as Python read it when it ran it."""
    files = [place.file for place in places if place is not None]
    if not files:
        return None
    file = max(sorted(set(files)), key=files.count)
    lines = linecache.getlines(file)
    return Source(Path(file).name, tuple(line.rstrip("\r\n") for line in lines)) if lines else None
