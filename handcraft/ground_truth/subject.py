"""What ground truth is derived from: a model, and what is known of how it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from handcraft.circuits import Circuits, Subspace
from handcraft.compiler import Compiled, CompiledSequences
from handcraft.compiler.passes.ir import Attend
from handcraft.compiler.passes.run_nodes import matched, run_nodes
from handcraft.errors import GroundTruthError
from handcraft.formats import Checkpoint
from handcraft.ground_truth.featurizer import Featurizer
from handcraft.language import Program, Prompts
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Node, walk
from handcraft.model import Model, Stored
from handcraft.origin import Origin
from handcraft.weights import Layer, Layout, Weights, build_layers, stored_values

Values: TypeAlias = Mapping[str, tuple[tuple[Value | None, ...], ...]]
"""The value at every position of a text, by name: of each expression that has the name, in the order of
the graph. An expression and its parts may have one name, such as a look-back and its default. None
where a head finds no source, so that what it brings is arbitrary, and is not used."""

Oracle: TypeAlias = Callable[[Sequence[str]], Values]
"""What the program says of the values of a text, without any model."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, and what is known of how it was made.

    Args:
        name: what it is called in files and errors.
        model: the model.
        source: what it means: rules, or circuits.
        circuits: the circuits that the weights were made from.
        layout: which dimensions of the residual stream store what.
        layers: the blocks of the model, which the plan made from the blocks of the circuits.
        stored: how the values of the circuits are read from the residual stream.
        weights: the origins of every weight.
        prompts: which texts are allowed.
        oracle: gives the values of the program on a text; no values if only circuits are known.
        predicts: whether it predicts tokens; otherwise it computes values.
        compiled: what was compiled, where the model is not yet in a folder.
        folder: the folder that it was read from.
    """

    name: str
    model: Model
    source: Program | Circuits
    circuits: Circuits = field(repr=False)
    layout: Layout = field(repr=False)
    layers: tuple[Layer, ...] = field(repr=False)
    stored: tuple[Stored, ...] = field(repr=False)
    weights: Weights = field(repr=False)
    prompts: Prompts = field(repr=False)
    oracle: Oracle = field(repr=False)
    predicts: bool
    compiled: Compiled | CompiledSequences | None = field(default=None, repr=False)
    folder: Path | None = None

    @property
    def knows_values(self) -> bool:
        """Whether the program says what its values are, and not only the circuits."""
        return self.oracle is not _nothing

    @cached_property
    def cells(self) -> Mapping[str, frozenset[int]]:
        """The dimensions of the residual stream from which each subspace is read, by its name."""
        return {
            stored.name: frozenset(np.flatnonzero(stored.matrix.any(axis=1)).tolist())
            for stored in self.stored
        }

    def done(self, done: int) -> int:
        """A state of the residual stream that the plan made, as a state of the model."""
        return done

    def featurizer(self, subspaces: Sequence[Subspace]) -> Featurizer:
        """How subspaces are read from the residual stream of the model, and written to it."""
        return Featurizer.of(subspaces, self.layout)

    @cached_property
    def origins(self) -> Mapping[str, Origin]:
        """Everything that weights serve, by its description."""
        every = {id(os): os for served in self.weights.origins.values() for os in served.values()}
        return {origin.what: origin for origins in every.values() for origin in origins}


def of_compiled(compiled: Compiled | CompiledSequences, name: str = "model") -> Subject:
    """What is known of a compiled program, circuits or expressions.

    Args:
        compiled: what was compiled.
        name: what to call it.
    """
    circuits = compiled.circuits
    if isinstance(compiled, CompiledSequences):
        source: Program | Circuits = circuits
        prompts = compiled.prompts
    else:
        source = compiled.source
        prompts = source.prompts if isinstance(source, Program) else _prompts_of(source)
    nodes = compiled.stages[-1].nodes if compiled.stages else ()
    oracle: Oracle = _nothing
    if nodes:
        oracle = partial(_values_of_nodes, tuple(walk(*nodes)), causal=prompts.causal)
    elif isinstance(source, Program):
        oracle = partial(_values_of_rules, source)
    return Subject(
        name,
        compiled.model,
        source,
        circuits,
        compiled.plan.layout,
        compiled.plan.layers,
        stored_values(compiled.plan),
        compiled.weights,
        prompts,
        oracle,
        predicts=isinstance(compiled, Compiled) and circuits.unembedding is not None,
        compiled=compiled,
    )


def of_checkpoint(checkpoint: Checkpoint) -> Subject:
    """What is known of a folder that was compiled.

    Raises:
        GroundTruthError: its circuits, or where they are stored, are not known.
        CheckpointError: Python code says which prompts are allowed.
    """
    if checkpoint.manifest.disguised:
        from handcraft.ground_truth.disguised import of_disguised_folder

        return of_disguised_folder(checkpoint)
    circuits, layout, model = checkpoint.circuits, checkpoint.layout, checkpoint.model
    if circuits is None or layout is None:
        raise GroundTruthError(
            f"{checkpoint.folder} does not say which circuits its weights are",
            where=checkpoint.folder,
            fix="name the program that it was compiled from, in place of the folder",
        )
    most_units = 4 * model.shape.n_embd if model.architecture.has_norm else None
    source = checkpoint.source
    prompts = checkpoint.prompts()
    if prompts is None:
        prompts = source.prompts if isinstance(source, Program) else _prompts_of(source)
    return Subject(
        checkpoint.folder.resolve().name,
        model,
        source,
        circuits,
        layout,
        build_layers(circuits, model.architecture, most_units),
        checkpoint.stored,
        checkpoint.weights,
        prompts,
        partial(_values_of_rules, source) if isinstance(source, Program) else _nothing,
        predicts=checkpoint.values is None and circuits.unembedding is not None,
        folder=checkpoint.folder,
    )


def _prompts_of(circuits: Circuits) -> Prompts:
    """The prompts of circuits: all texts."""
    return Prompts(circuits.vocabulary, circuits.context, causal=circuits.causal, place=circuits.place)


def _values_of_nodes(order: Sequence[Node], tokens: Sequence[str], *, causal: bool) -> Values:
    """The values of the expressions that were compiled, by their texts."""
    found: dict[str, tuple[tuple[Value | None, ...], ...]] = {}
    known = dict(zip(order, run_nodes(order, tokens, causal=causal), strict=True))
    for node, values in known.items():
        meant: tuple[Value | None, ...] = values
        if isinstance(node, Attend):
            there = matched(node, len(tokens), known, causal=causal)
            meant = tuple(v if is_there else None for v, is_there in zip(values, there, strict=True))
        found[str(node)] = (*found.get(str(node), ()), meant)
    return found


def _values_of_rules(program: Program, tokens: Sequence[str]) -> Values:
    return {name: (values,) for name, values in program.judged(tokens).by_text.items()}


def _nothing(tokens: Sequence[str]) -> Values:
    """What is known of the values where only circuits are."""
    return {}
