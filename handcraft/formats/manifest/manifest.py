"""handcraft.json as dataclasses: the description of a compiled model in its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits, Subspace
from handcraft.circuits.number import Plain
from handcraft.compiler import Compiled
from handcraft.compiler.values.output import Output
from handcraft.formats.manifest.convert import Data, Tables
from handcraft.formats.manifest.served import served_runs
from handcraft.language import Prompts
from handcraft.model import AxisNames, Shape
from handcraft.origin import Place
from handcraft.proofs import Proof, Words
from handcraft.verify import Measured
from handcraft.weights import Layout, axis_names

VERSION = 2
"""The version of handcraft.json that is written and read."""

Spans = tuple[tuple[Subspace, int, Plain, Plain], ...]
"""The least and the greatest number of dimensions, each counted within its subspace."""


@dataclass(frozen=True)
class PatternRule:
    """A rule that predicts one token after a pattern.

    It fires after any context where it has no pattern.
    """

    predict: str
    after: str | None = None
    place: Place | None = None


@dataclass(frozen=True)
class Grammar:
    """Which texts are allowed prompts, and how much the model writes after one.

    Args:
        inputs: a regular expression.
        bos: the token that each starts with.
        by_code: whether a Hypothesis strategy decides, which is code and not stored.
        writes: how many tokens the model writes.
    """

    inputs: str | None = None
    bos: str | None = None
    by_code: bool = False
    writes: int = 1

    @classmethod
    def of(cls, prompts: Prompts) -> Grammar:
        """The part of `Prompts` that a folder can store."""
        inputs = prompts.inputs if isinstance(prompts.inputs, str) else None
        return cls(inputs, prompts.bos, prompts.inputs is not None and inputs is None, prompts.writes)


@dataclass(frozen=True)
class RulesSource:
    """The meaning of a model that was compiled from rules with patterns only."""

    context: int
    rules: tuple[PatternRule, ...]


@dataclass(frozen=True)
class CircuitsSource:
    """The meaning of any other model: its circuits.

    Args:
        circuits: with every symbol replaced by its value.
        written: the rules that the circuits were compiled from, as text for people to read.
        grammar: which prompts are allowed; None for any text.
    """

    circuits: Circuits
    written: tuple[str, ...] = ()
    grammar: Grammar | None = None


@dataclass(frozen=True)
class LayoutRow:
    """The dimensions of a subspace in the residual stream, and their names."""

    subspace: str
    encoding: str
    first: int
    width: int
    dimensions: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """Everything that handcraft.json says.

    Args:
        handcraft: the version of the file.
        format: of the folder.
        architecture: what the model computes, apart from its sizes.
        shape: its sizes.
        vocabulary: the tokens.
        token_ids: the id of each.
        source: what the model means.
        layout: the dimensions of each subspace.
        names: what rows and columns stand for.
        weights: for each tensor, which weights serve which origins; see `served_runs`.
        outputs: the values that the model computes; none of a model that predicts tokens.
        spans: for a model of values, the range of each dimension.
        facts: on how many texts the facts were measured on which the weights rely.
        proof: what was proved when the folder was written; None where no proof was asked for.
        words: how the rules and nodes of certificate.json read; None where there is no certificate.
        disguised: whether the weights are no longer those that the circuits were placed as.
    """

    handcraft: int
    format: str
    architecture: Data
    shape: Shape
    vocabulary: tuple[str, ...]
    token_ids: tuple[int, ...]
    source: RulesSource | CircuitsSource
    layout: tuple[LayoutRow, ...]
    names: AxisNames
    weights: Data
    outputs: tuple[Output, ...] = ()
    spans: Spans = ()
    facts: Measured | None = None
    proof: Proof | None = None
    words: Words | None = None
    disguised: bool = False

    @property
    def grammar(self) -> Grammar | None:
        """Which prompts are allowed; None for any text."""
        return self.source.grammar if isinstance(self.source, CircuitsSource) else None

    @property
    def written(self) -> tuple[str, ...]:
        """The rules that circuits were compiled from, as text."""
        return self.source.written if isinstance(self.source, CircuitsSource) else ()


def write_manifest(
    compiled: Compiled,
    format: str,
    *,
    grammar: Grammar | None = None,
    outputs: Sequence[Output] = (),
    spans: Spans = (),
    facts: Measured | None = None,
    proof: Proof | None = None,
    words: Words | None = None,
) -> str:
    """The text of handcraft.json.

    Args:
        compiled: the model.
        format: of the folder.
        grammar: which prompts are allowed, where the program does not say so itself.
        outputs: as of `Manifest`.
        spans: likewise.
        facts: likewise.
        proof: likewise.
        words: likewise.
    """
    tables = Tables(compiled.circuits.values)
    model, shape = compiled.model, compiled.model.shape
    manifest = Manifest(
        VERSION,
        format,
        architecture_facts(model.architecture, shape),
        shape,
        compiled.circuits.vocabulary.tokens,
        tuple(model.vocabulary.numbers),
        _source(compiled, grammar),
        layout_rows(compiled.layout),
        axis_names(compiled.plan),
        served_runs(compiled.placement, tables.number),
        tuple(outputs),
        spans,
        facts,
        proof,
        words,
    )
    return manifest_text(manifest, tables)


def manifest_text(manifest: Manifest, tables: Tables) -> str:
    """A manifest as JSON; `tables` have the origins that its weights refer to by number."""
    return _line_by_key({**tables.write(manifest), **tables.write_tables()})


def architecture_facts(architecture: Architecture, shape: Shape) -> Data:
    """What the model computes, apart from its sizes; what its name leaves open is read back."""
    rotary = {
        "norm_epsilon": architecture.norm_epsilon,
        "theta": architecture.theta,
        "window": architecture.window,
    }
    return {
        "name": architecture.name,
        "norm": architecture.norm,
        "activation": architecture.activation,
        "tied": architecture.tied,
        "causal": architecture.causal,
        "score_scale": architecture.score_scale(shape.head_dim),
        **(rotary if architecture.is_rotary else {}),
    }


def _source(compiled: Compiled, grammar: Grammar | None) -> RulesSource | CircuitsSource:
    """The rules, where they are patterns; else the circuits: no code is run to read them back."""
    source = compiled.source
    if isinstance(source, Circuits):
        return CircuitsSource(source, tuple(compiled.written), grammar)
    if not source.has_only_patterns:
        written = tuple(str(rule) for rule in source.rules)
        return CircuitsSource(compiled.circuits, written, Grammar.of(source.prompts))
    tokens = source.vocabulary.tokens
    rules = (
        PatternRule(
            tokens[clause.token],
            None if clause.is_otherwise else clause.pattern.text(source.vocabulary),
            clause.rule.place,
        )
        for clause in source.clauses
    )
    return RulesSource(source.context, tuple(rules))


def layout_rows(layout: Layout) -> tuple[LayoutRow, ...]:
    """The subspaces of a layout, as handcraft.json lists them."""
    return tuple(
        LayoutRow(s.name, s.encoding.value, layout.start[s], s.width, s.dimension_names)
        for s in layout.subspaces
    )


def _line_by_key(data: Data) -> str:
    """JSON with a line for each top-level key: a person can find it, and it stays small."""
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in data.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"
