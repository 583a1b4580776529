"""What the certificate of a model of values states: where each is read, and how far it may be off."""

from __future__ import annotations

from fractions import Fraction

from handcraft.compiler import CompiledSequences
from handcraft.compiler.values.output import Output
from handcraft.language.graph.domain import Finite, Kind
from handcraft.language.graph.node import Node
from handcraft.proofs import Stated, statement_of_values
from handcraft.proofs.write_meaning import Statement

NEARLY_HALF = Fraction(511, 1024)
"""A number may be off by this part of the least difference of two values: the nearest is right then."""


def stated_values(compiled: CompiledSequences) -> Statement:
    """What a model of values means, for its certificate.

    Raises:
        NotCertified: it cannot be written down in a reasonable size.
    """
    sums, nodes = compiled.values.sums, compiled.stages[0].nodes
    outputs = [
        _stated(output, node, *sums[output.name])
        for output, node in zip(compiled.outputs, nodes, strict=True)
    ]
    return statement_of_values(compiled.prompts, outputs)


def _stated(output: Output, node: Node, terms: list[tuple[int, float]], constant: float) -> Stated:
    places = None
    if output.domain.kind is not Kind.NUMBER:
        assert isinstance(output.domain, Finite)
        places = {value: i for i, value in enumerate(output.domain.values)}
        if output.domain.kind is Kind.FLAG and places.get(True) != 0:
            places = None  # a flag counts as 0 and 1; one that is always true is stored as 0
    bound = Fraction(output.error_bound)
    if output.is_distinguishable:
        bound = output.gap * NEARLY_HALF
    reads: dict[int, Fraction] = {}
    for dimension, factor in terms:
        reads[dimension] = reads.get(dimension, Fraction(0)) + Fraction(factor)
    return Stated(output.name, node, places, tuple(reads.items()), Fraction(constant), bound)
