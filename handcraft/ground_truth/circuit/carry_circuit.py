"""The true circuit of a disguise: that of its original, moved, and every edge tried again.

An edge of the disguise is true if an answer changes when it is patched alone; or if the edge of the
original that it was made of is true, and an answer changes when all edges made of that one are patched
at once. The latter is so where a head was split: each copy carries only a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from handcraft.errors import GroundTruthError
from handcraft.ground_truth.circuit.connected import Connection, Connections
from handcraft.ground_truth.circuit.edge_graph import Edge
from handcraft.ground_truth.circuit.find_circuit import (
    Circuit,
    Finding,
    Witness,
    count_kept,
    example_pairs,
    find_circuit,
    judged,
    run_pairs,
)
from handcraft.ground_truth.circuit.pairs import Pairs, pair_rounds
from handcraft.ground_truth.circuit.patched import PatchedModel
from handcraft.ground_truth.disguised import Disguised


def carry_circuit(subject: Disguised, *, pairs: int, seed: int) -> Circuit:
    """The true circuit of a disguise.

    Args:
        subject: the disguise.
        pairs: about how many pairs of texts every edge is tried on, where there are more.
        seed: of what is drawn.

    Raises:
        GroundTruthError: the original has no circuit; or an edge that was made of a true one changes no
            answer any more.
    """
    original = find_circuit(subject.original, pairs=pairs, seed=seed)
    before = {finding.edge: finding for finding in original.findings}
    patched = PatchedModel(subject.model)
    origins = {edge: subject.edges.origin(edge) for edge in patched.graph.edges}
    connections = Connections(subject.model, patched.graph)
    found: dict[Edge, Finding] = {}
    for edge, origin in origins.items():
        known = None if origin is None else before[origin]
        found[edge] = Finding(edge, _connection(connections.of(edge), known))
    (first,) = islice(pair_rounds(subject, pairs, seed), 1)
    for part, clean, corrupted in run_pairs(subject, patched, first.by_length):
        for edge, finding in found.items():
            if finding.witness is None and finding.connection != "unused":
                logits = patched.patched(clean, corrupted, [edge])
                found[edge] = judged(finding, subject, part, clean.logits, logits)
    true = frozenset(finding.edge for finding in original.true)
    carrier = _Carrier(subject, patched, origins, dict(found), true)
    for finding in original.true:
        found |= carrier.witnessed(finding)
    findings = tuple(found.values())
    outside = [finding.edge for finding in findings if not finding.is_true]
    kept, asked = count_kept(subject, patched, first.by_length, outside)
    return Circuit(
        patched.graph,
        findings,
        tuple(example_pairs(subject, first.by_length)),
        sum(map(len, first.by_length)),
        first.is_all,
        kept,
        asked,
    )


def _connection(now: Connection, origin: Finding | None) -> Connection:
    """What is known of an edge: what its weights say, or those it was made of, before any rounding."""
    if now != "read":
        return now
    if origin is None:
        return "added"
    return "read" if origin.connection == "read" else "moved"


@dataclass(frozen=True, eq=False)
class _Carrier:
    """Tries the witnesses of the original on the disguise.

    Args:
        subject: the disguise.
        patched: its model.
        origins: for each edge that of the original.
        found: what is known of each edge when it is patched alone.
        true: the true edges of the original.
    """

    subject: Disguised
    patched: PatchedModel
    origins: Mapping[Edge, Edge | None]
    found: Mapping[Edge, Finding]
    true: frozenset[Edge]

    def witnessed(self, finding: Finding) -> dict[Edge, Finding]:
        """The edges that were made of a true one, and that no pair shows alone, with its witness.

        Raises:
            GroundTruthError: patching all of them changes no answer.
        """
        made = [
            edge
            for edge, origin in self.origins.items()
            if origin == finding.edge and self.found[edge].connection != "unused"
        ]
        waiting = [edge for edge in made if not self.found[edge].is_true]
        if made and not waiting:
            return {}
        assert finding.witness is not None
        together = self._tried(finding.witness, finding, made)
        if together is None:
            raise GroundTruthError(
                f"patching {finding.edge.name} of the original changes no answer of the disguise",
                where=self.subject.name,
                fix="ask for other parts, or disguise with other transforms",
            )
        return {edge: self._with_copies(edge, made, together) for edge in waiting}

    def _tried(self, witness: Witness, finding: Finding, made: Sequence[Edge]) -> Finding | None:
        """What a witness of the original shows in the disguise, of all edges that were made of one."""
        pairs = self._pairs(witness)
        others = [] if witness.alone else self._outside()
        for part, clean, corrupted in run_pairs(self.subject, self.patched, [pairs]):
            logits = self.patched.patched(clean, corrupted, [*made, *others])
            found = judged(Finding(made[0], "read"), self.subject, part, clean.logits, logits)
            if found.witness is not None:
                return replace(found, witness=replace(found.witness, alone=witness.alone))
        return None

    def _pairs(self, witness: Witness) -> Pairs:
        """The pair of prompts, asked at its end."""
        texts = [np.array([text]) for text in (witness.clean, witness.corrupted)]
        meant = np.full(texts[0].shape, -1)
        meant[0, -1] = self.subject.original.model.vocabulary.numbers.index(witness.right)
        return Pairs(texts[0], texts[1], meant, meant)

    def _outside(self) -> list[Edge]:
        """All edges that neither are true alone nor were made of a true one."""
        return [
            edge
            for edge, finding in self.found.items()
            if not finding.is_true and self.origins[edge] not in self.true
        ]

    def _with_copies(self, edge: Edge, made: Sequence[Edge], together: Finding) -> Finding:
        """An edge with the witness that shows it together with others."""
        own = self.found[edge]
        assert together.witness is not None
        copies = tuple(other.name for other in made if other != edge)
        return replace(
            own,
            witness=replace(together.witness, copies=copies),
            effect=together.effect,
            moved=max(own.moved, together.moved),
        )
