"""What a page is about: a model, and as much as is known of where its numbers come from."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from handcraft.circuits import Circuits, Subspace
from handcraft.circuits.lifetimes import lifetimes
from handcraft.compiler import Compiled
from handcraft.errors import ModelError
from handcraft.formats import Checkpoint
from handcraft.formats.manifest.served import served_runs
from handcraft.language import Program
from handcraft.language.decision import nodes_of
from handcraft.language.graph.node import walk
from handcraft.model import AxisNames, Model
from handcraft.origin import Origin, Place
from handcraft.proofs import CERTIFICATE, NotCertified, Proof, other_files, stated_in, statement_of
from handcraft.weights import axis_names
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
class RuleText:
    """A rule as written, and where."""

    text: str
    place: Place | None = None


@dataclass(frozen=True)
class Source:
    """The file in which the program is written."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """What a page is about.

    Args:
        title: what the page is called.
        model: the model that it runs.
        names: what rows and columns stand for; None for a model that was made elsewhere.
        origins: every origin that a weight serves; `served` refers to them by number.
        served: for each tensor, runs of weights with their origins, as `served_runs` gives them.
        stored: the subspaces of the residual stream.
        looks_at: for the name of each head, how it says where it attends.
        statement: what the program means, as a certificate states it; None where that is not known.
        places: where each node of the meaning was written.
        rules: the rules in order.
        source: the file of the program, where it may be shown.
        proof: what was proved of exactly these files; None where nothing was tried.
        why_no_meaning: why there is no statement.
        why_no_proof: what to say where there is no proof.
        example: a prompt to begin with; "" for any.
    """

    title: str
    model: Model
    names: AxisNames | None = None
    origins: tuple[Origin, ...] = ()
    served: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    stored: tuple[Stored, ...] = ()
    looks_at: Mapping[str, str] = field(default_factory=dict)
    statement: Statement | None = None
    places: tuple[Place | None, ...] = ()
    rules: tuple[RuleText, ...] = ()
    source: Source | None = None
    proof: Proof | None = None
    why_no_meaning: str = ""
    why_no_proof: str = NOT_TRIED
    example: str = ""

    def with_example(self, example: str | None) -> Subject:
        """The same, with a prompt to begin with."""
        return replace(self, example=example or "")


def of_compiled(compiled: Compiled, title: str | None = None, *, proof: Proof | None = None) -> Subject:
    """What is known of a program that was compiled here: everything.

    Args:
        compiled: what `compile_program` gave.
        title: what to call the page; by default the name of the program's file.
        proof: what was proved of it.
    """
    program = compiled.source if isinstance(compiled.source, Program) else None
    numbers: dict[Origin, int] = {}
    served = served_runs(compiled.placement, lambda origin: numbers.setdefault(origin, len(numbers)))
    layout = compiled.layout
    born = _born(compiled.circuits, compiled.model.shape.n_layer)
    stored = tuple(
        _stored(
            s.name, s.encoding.value, layout.start[s], s.width, layout.is_mirrored, s, born.get(s.name)
        )
        for s in layout.subspaces
    )
    statement: Statement | None = None
    why = "these circuits were laid out by hand, so there are no rules to compare with"
    places: tuple[Place | None, ...] = ()
    rules: tuple[RuleText, ...] = ()
    if program is not None:
        statement, why = _stated(lambda: statement_of(program))
        places = tuple(node.place for node in walk(*nodes_of(program.decisions))) if statement else ()
        rules = tuple(RuleText(str(each.rule), each.rule.place) for each in program.decisions)
    source = _source_of(program)
    return Subject(
        title or (Path(source.name).stem if source else "rules"),
        compiled.model,
        axis_names(compiled.plan),
        tuple(numbers),
        served,
        stored,
        _looks_at(compiled.circuits),
        statement,
        places,
        rules,
        source,
        proof,
        why,
    )


def of_checkpoint(checkpoint: Checkpoint) -> Subject:
    """What is known of a compiled folder: everything but the text of its program's file."""
    manifest, source = checkpoint.manifest, checkpoint.source
    circuits = source if isinstance(source, Circuits) else None
    subspaces = {s.name: s for s in circuits.stream} if circuits else {}
    born = {} if circuits is None else _born(circuits, checkpoint.model.shape.n_layer)
    is_mirrored = checkpoint.model.architecture.has_norm
    stored = tuple(
        _stored(
            row.subspace, row.encoding, row.first, row.width, is_mirrored,
            subspaces.get(row.subspace), born.get(row.subspace), row.dimensions,
        )
        for row in manifest.layout
    )  # fmt: skip
    certificate = checkpoint.folder / CERTIFICATE
    statement, why = _stated(
        lambda: statement_of(source) if isinstance(source, Program) else stated_in(certificate)
    )
    proof, why_no_proof = manifest.proof, NOT_TRIED
    if proof is not None and (changed := other_files(checkpoint.folder)):
        proof, why_no_proof = None, f"these are not the files that were judged: {changed}"
    rules = [RuleText(each, None) for each in manifest.written]
    if isinstance(source, Program):
        rules = [RuleText(str(each.rule), each.rule.place) for each in source.decisions]
    return Subject(
        checkpoint.folder.resolve().name or "model",
        checkpoint.model,
        manifest.names,
        checkpoint.listed_origins,
        manifest.weights,
        stored,
        _looks_at(circuits) if circuits else {},
        statement,
        (),
        tuple(rules),
        None,
        proof,
        why.replace(str(checkpoint.folder), "the folder"),
        why_no_proof,
    )


def of_model(
    model: Model, title: str, *, proof: Proof | None = None, why_no_proof: str = NOT_TRIED
) -> Subject:
    """What is known of a GPT-2 that was made elsewhere: its weights, and what was proved of them.

    Args:
        model: what was loaded.
        title: what to call the page.
        proof: what its certificate proves.
        why_no_proof: what to say where there is none.
    """
    why = "the folder has no handcraft.json, so only the weights are known, and not what they are for"
    return Subject(title, model, proof=proof, why_no_meaning=why, why_no_proof=why_no_proof)


def _stated(state: Callable[[], Statement]) -> tuple[Statement | None, str]:
    """What a program means; else None, and why that is not known."""
    try:
        return state(), ""
    except NotCertified as error:
        return None, str(error)


def _looks_at(circuits: Circuits) -> dict[str, str]:
    return {head.name: head.attends.label for block in circuits.blocks for head in block.heads}


def _born(circuits: Circuits, n_layer: int) -> dict[str, int]:
    """The first state that has each subspace; none where a block was spread over several layers."""
    if len(circuits.blocks) != n_layer:
        return {}
    return {subspace.name: life.born for subspace, life in lifetimes(circuits).items()}


def _stored(
    name: str,
    encoding: str,
    first: int,
    width: int,
    is_mirrored: bool,
    subspace: Subspace | None,
    born: int | None,
    dimensions: Sequence[str] = (),
) -> Stored:
    """A subspace; without it, the values of a one-hot one are read from the names of its dimensions."""
    values: tuple[str, ...] | None = None
    if subspace is not None:
        if subspace.values != tuple(range(len(subspace.values))):
            values = tuple(map(str, subspace.values))
    elif encoding == "one-hot":
        values = tuple(each.removeprefix(f"{name} ") for each in dimensions)
    has_opposites = is_mirrored and encoding not in {each.value for each in UNMIRRORED}
    return Stored(name, encoding, first, width, has_opposites, values or None, born)


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
