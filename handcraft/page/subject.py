"""What a page is about: a model, and as much as is known of where its numbers come from."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from handcraft.circuits import Circuits, Subspace
from handcraft.circuits.lifetimes import lifetimes
from handcraft.compiler import Compiled, CompiledSequences
from handcraft.compiler.values.value_model import ValueModel
from handcraft.formats import Checkpoint
from handcraft.formats.manifest.served import served_runs
from handcraft.formats.stated_values import stated_values
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
        sees_last: whether the program means something after a text that is longer than the model, by
            its last tokens.
        context: for how many tokens the program is written; None for those of the model.
        wide: what the rules mean in as many positions as the model has, where these are more than the
            context, and a text of them means something.
        values: the model and how values are read from it, of a model of values.
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
    sees_last: bool = False
    context: int | None = None
    wide: Statement | None = None
    values: ValueModel | None = None

    def with_example(self, example: str | None) -> Subject:
        """The same, with a prompt to begin with."""
        return replace(self, example=example or "")


def of_compiled(
    compiled: Compiled | CompiledSequences, title: str | None = None, *, proof: Proof | None = None
) -> Subject:
    """What is known of a program or of expressions that were compiled here: everything.

    Args:
        compiled: what `compile_program` or `compile_sequences` gave.
        title: what to call the page; by default the name of the file.
        proof: what was proved of it.
    """
    numbers: dict[Origin, int] = {}
    served = served_runs(compiled.placement, lambda origin: numbers.setdefault(origin, len(numbers)))
    layout = compiled.plan.layout
    born = _born(compiled.circuits, compiled.model.shape.n_layer)
    stored = tuple(
        _stored(
            s.name, s.encoding.value, layout.start[s], s.width, layout.is_mirrored, s, born.get(s.name)
        )
        for s in layout.subspaces
    )
    subject = Subject(
        title or ("values" if isinstance(compiled, CompiledSequences) else "rules"),
        compiled.model,
        axis_names(compiled.plan),
        tuple(numbers),
        served,
        stored,
        _looks_at(compiled.circuits),
        proof=proof,
    )
    if isinstance(compiled, CompiledSequences):
        known = _with_values(subject, compiled)
    elif isinstance(compiled.source, Program):
        known = _with_rules(subject, compiled.source)
    else:
        why = "these circuits were laid out by hand, so there are no rules to compare with"
        return replace(subject, why_no_meaning=why)
    if title is None and known.source is not None:
        return replace(known, title=Path(known.source.name).stem)
    return known


def _with_rules(subject: Subject, program: Program) -> Subject:
    """With the rules of a program, and what they mean."""
    statement, why = _stated(lambda: statement_of(program))
    widest = _widest(program, subject.model)
    wide = _wide(program, subject.model)
    order = walk(*nodes_of((widest if wide else program).decisions))
    return replace(
        subject,
        statement=statement,
        places=tuple(node.place for node in order) if statement else (),
        rules=tuple(RuleText(str(each.rule), each.rule.place) for each in program.decisions),
        source=_source_of([rule.place for rule in program.rules]),
        why_no_meaning=why,
        sees_last=_sees_last(program, subject.model),
        context=program.context,
        wide=wide,
    )


def _with_values(subject: Subject, compiled: CompiledSequences) -> Subject:
    """With the expressions that a model computes, and what they mean."""
    statement, why = _stated(lambda: stated_values(compiled))
    nodes = [*walk(*compiled.stages[0].nodes)]
    return replace(
        subject,
        statement=statement,
        places=tuple(node.place for node in nodes) if statement else (),
        source=_source_of([output.place for output in compiled.outputs]),
        why_no_meaning=why,
        context=compiled.prompts.context,
        values=compiled.values,
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
        lambda: (
            statement_of(source)
            if isinstance(source, Program)
            else _stated_of(checkpoint.values, stated_in(certificate))
        )
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
        sees_last=isinstance(source, Program) and _sees_last(source, checkpoint.model),
        context=source.context,
        wide=_wide(source, checkpoint.model) if isinstance(source, Program) else None,
        values=checkpoint.values,
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


def _sees_last(program: Program, model: Model) -> bool:
    """Whether a longer text is answered by its last tokens, of which program and model see as many."""
    is_as_long = program.has_only_patterns or program.context == model.shape.n_positions
    return is_as_long and not program.prompts.refuses_some


def _widest(program: Program, model: Model) -> Program:
    """The program over all positions of the model, if its rules are patterns."""
    positions = model.shape.n_positions
    if not program.has_only_patterns or positions <= program.context:
        return program
    return program.widened(positions)


def _wide(program: Program, model: Model) -> Statement | None:
    """What the widest program means, where it is not the program itself."""
    widest = _widest(program, model)
    return None if widest is program else _stated(lambda: statement_of(widest))[0]


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


def _source_of(places: Iterable[Place | None]) -> Source | None:
    """The file in which most rules or outputs are written, as Python read it when it ran it."""
    files = [place.file for place in places if place is not None]
    if not files:
        return None
    file = max(sorted(set(files)), key=files.count)
    lines = linecache.getlines(file)
    return Source(Path(file).name, tuple(line.rstrip("\r\n") for line in lines)) if lines else None
