"""What ground truth is derived from: a model, and what is known of how it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from handcraft.ground_truth.stream.featurizer import Featurizer
from handcraft.language import Program, Prompts
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Node, walk
from handcraft.language.meaning import Meaning
from handcraft.model import Model
from handcraft.origin import Origin
from handcraft.subject import Subject
from handcraft.weights import Layer, Layout, Weights, build_layers

Values: TypeAlias = Mapping[str, tuple[tuple[Value | None, ...], ...]]
"""The value at every position of a text, by name: of each expression that has the name, in the order of
the graph. An expression and its parts may have one name, such as a look-back and its default. None
where a head finds no source, so that what it brings is arbitrary, and is not used."""

Oracle: TypeAlias = Callable[[Sequence[str]], Values]
"""What the program says of the values of a text, without any model."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LaidOut(Subject):
    """A model with all that was known when it was laid out; `Subject` has the rest of the arguments.

    Args:
        source: what was compiled: rules, or circuits.
        layout: which dimensions of the residual stream store what.
        layers: the blocks of the model, which the plan made from the blocks of the circuits.
        prompts: which texts are allowed.
        oracle: gives the values of the program on a text; None if only circuits are known.
        compiled: what was compiled, where the model is not yet in a folder.
        folder: the folder that it was read from.
    """

    model: Model
    circuits: Circuits = field(repr=False)
    weights: Weights = field(repr=False)
    source: Program | Circuits
    layout: Layout = field(repr=False)
    layers: tuple[Layer, ...] = field(repr=False)
    prompts: Prompts = field(repr=False)
    oracle: Oracle | None = field(default=None, repr=False)
    compiled: Compiled | CompiledSequences | None = field(default=None, repr=False)
    folder: Path | None = None

    @property
    def asked(self) -> Program | Circuits | Meaning:
        """What says which answers are right: rules, wherever they were read from, or circuits."""
        if isinstance(self.source, Circuits) and self.meaning is not None and self.meaning.rules:
            return self.meaning
        return self.source

    def stated_in(self, checkpoint: Checkpoint) -> LaidOut:
        """The same circuits with what a folder says of them: what they mean, for which prompts.

        Raises:
            CheckpointError: Python code says which prompts are allowed.
        """
        meaning = checkpoint.subject.meaning
        return replace(
            self,
            meaning=self.meaning or meaning,
            oracle=self.oracle or _oracle_of(meaning),
            prompts=checkpoint.prompts() or self.prompts,
            name=checkpoint.folder.resolve().name,
        )

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


def of_compiled(compiled: Compiled | CompiledSequences, name: str = "model") -> LaidOut:
    """What is known of a compiled program, circuits or expressions.

    Args:
        compiled: what was compiled.
        name: what to call it.
    """
    known = compiled.subject
    circuits = compiled.circuits
    if isinstance(compiled, CompiledSequences):
        source: Program | Circuits = circuits
        prompts = compiled.prompts
    else:
        source = compiled.source
        prompts = _prompts_of(source)
    nodes = compiled.stages[-1].nodes if compiled.stages else ()
    oracle = _oracle_of(known.meaning)
    if nodes:
        oracle = partial(_values_of_nodes, tuple(walk(*nodes)), causal=prompts.causal)
    return LaidOut(
        name=name,
        meaning=known.meaning,
        circuits=circuits,
        model=compiled.model,
        weights=compiled.weights,
        stored=known.stored,
        predicts=known.predicts and circuits.unembedding is not None,
        source=source,
        layout=compiled.plan.layout,
        layers=compiled.plan.layers,
        prompts=prompts,
        oracle=oracle,
        compiled=compiled,
    )


def of_checkpoint(checkpoint: Checkpoint) -> LaidOut:
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
    known = checkpoint.subject
    return LaidOut(
        name=checkpoint.folder.resolve().name,
        meaning=known.meaning,
        circuits=circuits,
        model=model,
        weights=checkpoint.weights,
        stored=known.stored,
        predicts=known.predicts and circuits.unembedding is not None,
        source=source,
        layout=layout,
        layers=build_layers(circuits, model.architecture, most_units),
        prompts=checkpoint.prompts() or _prompts_of(source),
        oracle=_oracle_of(known.meaning),
        folder=checkpoint.folder,
    )


def _prompts_of(source: Program | Circuits) -> Prompts:
    """The prompts of a program; those of circuits are all texts."""
    if isinstance(source, Program):
        return source.prompts
    return Prompts(source.vocabulary, source.context, causal=source.causal, place=source.place)


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


def _oracle_of(meaning: Meaning | None) -> Oracle | None:
    return None if meaning is None else partial(_values_of_meaning, meaning)


def _values_of_meaning(meaning: Meaning, tokens: Sequence[str]) -> Values:
    return {name: (values,) for name, values in meaning.judged(tokens).by_text.items()}
